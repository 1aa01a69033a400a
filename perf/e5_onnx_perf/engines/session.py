"""The graph alone, as the runtime runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.inference.exact_int8 import needs_exact_kernels
from e5_onnx.inference.session import Session
from e5_onnx.model_folder.folder import open_folder


class SessionEngine:
    """A model folder without its tokenizer.

    Attributes:
        vocabulary: How many token ids it takes.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        opened = open_folder(folder)
        exact = needs_exact_kernels(opened.manifest, "auto")
        self._session = Session(opened.path, threads, exact_int8=exact)
        self.vocabulary = opened.manifest.architecture.vocabulary

    def encode(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeds token ids int64 [batch, sequence] and returns float32 [batch, dimension]."""
        return self._session.run(ids, mask)


load = SessionEngine
