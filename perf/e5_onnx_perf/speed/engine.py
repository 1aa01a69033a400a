"""What is timed: every engine behind one small interface, each loaded in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, Protocol, cast

from e5_onnx_perf.peers import PEERS, LoadedEngine, Peer, PeerName, PeerSource, VectorRows, import_peer

OwnName = Literal["embedder", "callers", "graph", "cached", "product"]

# How each is used, for tables; the first is the usual way.
_OWN: Final[dict[str, str]] = {
    "embedder": "",
    "graph": "graph alone",
    "callers": "throughput",
    "cached": "packed",
    "product": "bare integer product",
}


class SpeedEngine(LoadedEngine, Protocol):
    """An engine to be timed."""

    @property
    def tokenizer(self) -> str:
        """The library that makes its tokens, with the installation that brings it where it is ours."""

    def ready(self, texts: Sequence[str]) -> Callable[[], VectorRows]:
        """Takes texts, and returns what is timed: it embeds them in order, float32 [n, dimension]."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine and what it loads, as one process tells it to another.

    Attributes:
        engine: The engine's name.
        path: A model folder, or for a peer the checkpoint.
        threads: The number of threads it may use.
        scratch: The folder for a peer's converted model.
    """

    engine: OwnName | PeerName
    path: str
    threads: int
    scratch: str

    @property
    def embeds(self) -> bool:
        """Whether it goes all the way from texts to vectors."""
        return self.engine not in ("graph", "product")

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
        """The model that a peer loads."""
        return PeerSource(Path(self.path), Path(self.scratch))

    @property
    def name(self) -> str:
        """For tables: a folder's own name, with how it is used where that is not the usual way."""
        if self.is_peer:
            return self.engine
        folder = Path(self.path).name
        return f"{folder} ({_OWN[self.engine]})" if _OWN[self.engine] else folder


def import_engine(spec: EngineSpec) -> Callable[[], SpeedEngine]:
    """Imports an engine's libraries, so that their cost can be told from the model's; returns what loads it.

    Raises:
        MissingExtraError: If they are not installed.
    """
    if spec.is_peer:
        module = import_peer(spec.peer)
        return lambda: _PeerEngine(module.load(spec.source, spec.threads), PEERS[spec.peer].tokenizer)
    # The product's module needs the onnx package, which no other engine of ours does.
    module_name = "product" if spec.engine == "product" else "own_engines"
    load: Callable[[EngineSpec], SpeedEngine] = import_module(f"e5_onnx_perf.speed.{module_name}").load
    return lambda: load(spec)


class _PeerEngine:
    def __init__(self, peer: Peer, tokenizer: str) -> None:
        self._peer = peer
        self.setting, self.precision, self.disk_bytes = peer.setting, peer.precision, peer.disk_bytes
        self.tokenizer = tokenizer

    def ready(self, texts: Sequence[str]) -> Callable[[], VectorRows]:
        return lambda: self._peer.encode(texts)
