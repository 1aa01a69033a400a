"""The batches that are timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

_FIRST_WORD: Final = 4  # after XLM-R's <s>, <pad>, </s> and <unk>


@dataclass(frozen=True, slots=True)
class Workload:
    """One batch.

    Attributes:
        name: Texts x tokens.
        lengths: Tokens of each text.
        unit: What is reported: milliseconds of the batch, or tokens a second.
    """

    name: str
    lengths: Sequence[int]
    unit: str

    @property
    def tokens(self) -> int:
        """Real tokens, padding not counted."""
        return sum(self.lengths)

    def batch(self, seed: int, vocabulary: int) -> tuple[Ids, Ids]:
        """Ids and mask, int64 [texts, longest]; every seed has its own words, of all that there are."""
        generator = np.random.default_rng(seed)
        ids = np.ones((len(self.lengths), max(self.lengths)), np.int64)
        mask = np.zeros_like(ids)
        for row, length in enumerate(self.lengths):
            words = generator.integers(_FIRST_WORD, vocabulary, length - 2)
            ids[row, :length] = [0, *words, 2]
            mask[row, :length] = 1
        return ids, mask

    def figure(self, seconds: float) -> float:
        """What is reported for a batch that took so long."""
        return seconds * 1000 if self.unit == "ms" else self.tokens / seconds


_RAGGED: Final = tuple(int(length) for length in np.random.default_rng(0).integers(4, 129, 16))

WORKLOADS: Final = (
    Workload("1x16", (16,), "ms"),
    Workload("1x128", (128,), "ms"),
    Workload("32x32", (32,) * 32, "tokens/s"),
    Workload("8x256", (256,) * 8, "tokens/s"),
    Workload("16x128 ragged", _RAGGED, "tokens/s"),
)
_BY_NAME: Final = {workload.name: workload for workload in WORKLOADS}


@dataclass(frozen=True, slots=True)
class Draw:
    """A batch by what it is made from, as one process tells it to another.

    Attributes:
        workload: Name.
        seed: Of its words.
        vocabulary: Token ids to draw from.
    """

    workload: str
    seed: int
    vocabulary: int

    def batch(self) -> tuple[Ids, Ids]:
        """Ids and mask, int64 [texts, longest]."""
        return _BY_NAME[self.workload].batch(self.seed, self.vocabulary)
