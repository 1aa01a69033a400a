"""What comes out of an Embedder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors, and what became of the texts.

    For one str instead of a list, every array loses its first axis.

    Attributes:
        vectors: float32 [n, dimension], each of length 1.
        tokens: int64 [n]: tokens of each text before any cutting, template and special tokens included.
        truncated: bool [n]: whether tokens were left out.
    """

    vectors: NDArray[np.float32]
    tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    def single(self) -> Encoded:
        """Returns the first text's part of each array."""
        return Encoded(self.vectors[0], np.asarray(self.tokens[0]), np.asarray(self.truncated[0]))
