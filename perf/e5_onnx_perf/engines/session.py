"""The graph alone, as the runtime runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.session import Session


class SessionEngine:
    """A model folder without its tokenizer."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._session = Session(folder, threads)

    def encode(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeds token ids int64 [batch, sequence] and returns float32 [batch, dimension]."""
        return self._session.run(ids, mask)
