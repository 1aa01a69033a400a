"""What is timed: every engine behind one small interface, each loaded in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from e5_onnx import Embedder
from e5_onnx.inference.batching import pad, plan_batches
from e5_onnx.inference.options import Mode
from e5_onnx.model_folder.folder import open_folder
from e5_onnx_perf.peers import Peer, PeerName, PeerSource, import_peer

Floats = NDArray[np.float32]
OwnName = Literal["embedder", "callers", "graph", "cached"]
EngineName = OwnName | PeerName


class SpeedEngine(Protocol):
    """A loaded engine."""

    @property
    def setting(self) -> str:
        """How it is run, in a line."""

    @property
    def precision(self) -> str:
        """What its weights are stored in."""

    @property
    def disk_bytes(self) -> int:
        """Of its files."""

    def ready(self, texts: Sequence[str]) -> Callable[[], Floats]:
        """Takes texts, and returns what is timed: it embeds them in order, float32 [n, dimension]."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine and what it loads, as one process tells it to another.

    Attributes:
        engine: Its name.
        path: A model folder, or for a peer the checkpoint.
        threads: How many it may use.
        scratch: Where a peer keeps its converted model.
    """

    engine: EngineName
    path: str
    threads: int
    scratch: str

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's."""
        return self.engine not in _OWN

    @property
    def peer(self) -> PeerName:
        """The peer's name; only of a peer."""
        return cast(PeerName, self.engine)

    @property
    def source(self) -> PeerSource:
        """What a peer loads."""
        return PeerSource(Path(self.path), Path(self.scratch))

    @property
    def name(self) -> str:
        """For tables: a folder's own name, with how it is used where that is not the usual way."""
        if self.is_peer:
            return self.engine
        folder = Path(self.path).name
        return folder if self.engine == "embedder" else f"{folder} ({_OWN[self.engine].label})"


def load_engine(spec: EngineSpec) -> SpeedEngine:
    """Loads an engine.

    Raises:
        MissingExtraError: If its libraries are not installed.
        FolderError: If a model folder is not sound.
    """
    if spec.engine in _OWN:
        return _OWN[spec.engine].load(spec)
    return _PeerEngine(import_peer(spec.peer).load(spec.source, spec.threads))


class _PeerEngine:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.setting, self.precision, self.disk_bytes = peer.setting, peer.precision, peer.disk_bytes

    def ready(self, texts: Sequence[str]) -> Callable[[], Floats]:
        return lambda: self._peer.encode(texts)


class _EmbedderEngine:
    def __init__(self, spec: EngineSpec, mode: Mode, cache: Path | None = None) -> None:
        self._model = Embedder(
            spec.path, threads=spec.threads, overflow="truncate", mode=mode, cache_dir=cache
        )
        self.setting = f"{spec.threads} threads, mode {mode}, {self._model.tokenizer}"
        self.precision = self._model.manifest.precision
        self.disk_bytes = open_folder(Path(spec.path)).size_bytes

    def ready(self, texts: Sequence[str]) -> Callable[[], Floats]:
        return lambda: self._model.encode(texts, role="raw").vectors


class _GraphEngine(_EmbedderEngine):
    """The graph alone: what is timed begins with token ids in the batches that the Embedder would make."""

    def ready(self, texts: Sequence[str]) -> Callable[[], Floats]:
        engine = self._model._lifetime.get()  # noqa: SLF001 - measured from within
        limit = self._model.max_tokens
        ids = [row[:limit] for row in self._model.tokenize(texts, role="raw")]
        batches = plan_batches([len(row) for row in ids], engine.token_budget)
        grids = [pad([ids[index] for index in batch]) for batch in batches]
        order = np.concatenate(batches)

        def run() -> Floats:
            vectors = np.concatenate([engine.session.run(*grid) for grid in grids])
            found = np.empty_like(vectors)
            found[order] = vectors
            return found

        return run


@dataclass(frozen=True, slots=True)
class _Own:
    label: str
    load: Callable[[EngineSpec], SpeedEngine]


_OWN: Final[dict[str, _Own]] = {
    "embedder": _Own("", lambda spec: _EmbedderEngine(spec, "latency")),
    "graph": _Own("graph alone", lambda spec: _GraphEngine(spec, "latency")),
    "callers": _Own("throughput", lambda spec: _EmbedderEngine(spec, "throughput")),
    "cached": _Own("packed", lambda spec: _EmbedderEngine(spec, "latency", Path(spec.scratch, "packed"))),
}
