"""The vectors of recent queries. A vector depends on its token ids alone, so a kept one is exact."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class RecentVectors:
    """Vectors by token ids, the most recently used ones. For one event loop."""

    def __init__(self, size: int) -> None:
        """Takes the number of vectors to keep; 0 keeps none."""
        self._size = size
        self._vectors: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def fill(self, rows: Sequence[NDArray[np.int64]], vectors: NDArray[np.float32]) -> list[int]:
        """Copies the vectors that are kept.

        Args:
            rows: Token ids of each text, int64 [tokens].
            vectors: float32 [texts, dimension], to write to.

        Returns:
            The numbers of the texts whose vectors are not kept.
        """
        missing = []
        for index, ids in enumerate(rows):
            if (found := self._vectors.get(key := ids.tobytes())) is None:
                missing.append(index)
            else:
                self._vectors.move_to_end(key)
                vectors[index] = found
        return missing

    def keep(self, ids: NDArray[np.int64], vector: NDArray[np.float32]) -> None:
        """Keeps a copy of a vector; the least recently used one leaves where there is no room."""
        self._vectors[ids.tobytes()] = vector.copy()
        while len(self._vectors) > self._size:
            self._vectors.popitem(last=False)
