"""CTranslate2 with int8 weights and activations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.peers import BATCH, PeerSource
from e5_onnx_perf.peers.conversion import converted, folder_bytes, in_batches, mean_pool

try:
    import ctranslate2
    from ctranslate2.converters import TransformersConverter
except ImportError as error:
    raise MissingExtraError("peers", "ctranslate2") from error

_TYPE = "int8"  # with float32 between the products; int8_float32 is the same thing by another name
_LIMIT = 512


class CTranslate2Peer:
    """A converted encoder, pooled in NumPy."""

    def __init__(self, folder: Path, tokenizer: Path, threads: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(_LIMIT)
        self._tokenizer.no_padding()
        self._model = ctranslate2.Encoder(
            str(folder), device="cpu", compute_type=_TYPE, inter_threads=1, intra_threads=threads
        )
        self.setting = (
            f"compute type {self._model.compute_type}, {threads} threads, batches of {BATCH} by length"
        )
        self.precision = "int8"
        self.disk_bytes = folder_bytes(folder) + tokenizer.stat().st_size

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`."""
        return in_batches(texts, BATCH, self._embed)

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        states = np.array(self._model.forward_batch(ids).last_hidden_state)
        lengths = np.array([len(row) for row in ids])
        return mean_pool(states, (np.arange(states.shape[1]) < lengths[:, None]).astype(np.int64))


def prepare(source: PeerSource) -> Path:
    """Converts the checkpoint."""

    def convert(made: Path) -> None:
        made.rmdir()
        TransformersConverter(str(source.checkpoint)).convert(str(made), quantization=_TYPE)

    return converted(source, "ctranslate2", convert)


def load(source: PeerSource, threads: int) -> CTranslate2Peer:
    """Loads the converted model."""
    return CTranslate2Peer(prepare(source), source.checkpoint / "tokenizer.json", threads)
