"""The whole runtime, tokenizer included, given token ids so that all engines do the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx import Embedder


class EmbedderEngine:
    """An Embedder, for what it costs to load and to hold.

    Attributes:
        vocabulary: How many token ids it takes.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self._model = Embedder(folder, threads=threads)
        self.vocabulary = self._model.manifest.architecture.vocabulary

    def encode(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeds token ids int64 [batch, sequence] and returns float32 [batch, dimension]."""
        return self._model._lifetime.get().session.run(ids, mask)  # noqa: SLF001 - measured from within


load = EmbedderEngine
