"""llama.cpp with Q8_0 weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.peers import PeerSource
from e5_onnx_perf.peers.conversion import converted, folder_bytes, in_batches
from e5_onnx_perf.peers.gguf_file import write_gguf

try:
    import llama_cpp
except ImportError as error:
    raise MissingExtraError("llama-cpp", "llama_cpp") from error

_NAME = "model.gguf"
_LIMIT = 512
_BATCH = 16
_GRID = _BATCH * _LIMIT  # a text has to fit into one physical batch


class LlamaCppPeer:
    """A context for embeddings, pooled by llama.cpp."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._model = llama_cpp.Llama(
            str(folder / _NAME),
            embedding=True,
            n_ctx=_GRID,
            n_batch=_GRID,
            n_ubatch=_GRID,
            n_threads=threads,
            n_threads_batch=threads,
            pooling_type=llama_cpp.LLAMA_POOLING_TYPE_MEAN,
            verbose=False,
        )
        self.setting = f"q8_0, {threads} threads, batches of {_BATCH} by length"
        self.precision = "int8"
        self.disk_bytes = folder_bytes(folder)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`."""
        return in_batches(texts, _BATCH, self._embed)

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        return np.array(self._model.embed(texts, normalize=True, truncate=True), np.float32)


def prepare(source: PeerSource) -> Path:
    """Converts the checkpoint."""
    return converted(source, "gguf", lambda made: write_gguf(source.checkpoint, made / _NAME))


def load(source: PeerSource, threads: int) -> LlamaCppPeer:
    """Loads the converted model."""
    return LlamaCppPeer(prepare(source), threads)
