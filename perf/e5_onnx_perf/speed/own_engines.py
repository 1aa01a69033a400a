"""A model folder under the runtime, in the ways that are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from e5_onnx import Embedder, Mode
from e5_onnx.model_folder.folder import open_folder
from e5_onnx_perf.peers import VectorRows
from e5_onnx_perf.speed.engine import EngineSpec, SpeedEngine

# What brings a tokenizer library.
_INSTALLATION: Final = {"tokenizers": "(default installation)", "tokie": "([lean])"}


class EmbedderEngine:
    """The whole runtime, tokenizer included."""

    def __init__(self, spec: EngineSpec) -> None:
        mode: Mode = "throughput" if spec.engine == "callers" else "latency"
        cache = Path(spec.scratch, "packed") if spec.engine == "cached" else None
        self._model = Embedder(
            spec.path, threads=spec.threads, overflow="truncate", mode=mode, cache_dir=cache
        )
        self.setting = f"{spec.threads} threads, mode {mode}"
        self.tokenizer = f"{self._model.tokenizer} {_INSTALLATION[self._model.tokenizer]}"
        self.precision = self._model.manifest.precision
        self.disk_bytes = open_folder(Path(spec.path)).size_bytes

    def ready(self, texts: Sequence[str]) -> Callable[[], VectorRows]:
        """See `SpeedEngine.ready`."""
        return lambda: self._model.encode(texts, role="raw").vectors


class GraphEngine(EmbedderEngine):
    """The graph alone: what is timed begins with token ids."""

    def ready(self, texts: Sequence[str]) -> Callable[[], VectorRows]:
        """See `SpeedEngine.ready`."""
        ids = [row[: self._model.max_tokens] for row in self._model.tokenize(texts, role="raw")]
        return lambda: self._model.encode_ids(ids)


def load(spec: EngineSpec) -> SpeedEngine:
    """Opens the folder.

    Raises:
        FolderError: If it is not sound.
    """
    return GraphEngine(spec) if spec.engine == "graph" else EmbedderEngine(spec)
