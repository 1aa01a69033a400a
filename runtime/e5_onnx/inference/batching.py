"""Which texts run together: all of the library's sizes of batches, and pure functions on lengths.

A batch is limited by its padded tokens: its texts times the tokens of its longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# With it a batch of the large model takes about half a gigabyte.
DEFAULT_PADDED_TOKENS: Final = 2048

# Padded tokens of a batch that one thread works on alone: larger ones leave its cache (perf/README.md).
THREAD_PADDED_TOKENS: Final = 512

# Texts that are sorted by length together: enough to fill batches evenly, a few megabytes of vectors.
CHUNK_TEXTS: Final = 512

# Long texts fill batches with fewer of them, and a chunk is what a stopped bulk run still finishes.
CHUNK_CHARACTERS: Final = 1 << 16


def concurrent_limit(max_padded_tokens: int, workers: int) -> int:
    """The maximum of padded tokens of each of the batches that worker threads run at the same time.

    Args:
        max_padded_tokens: The maximum of all that run at the same time.
        workers: The number of worker threads; 1 uses every thread of the session for one batch.

    Returns:
        The maximum of one batch.
    """
    return max_padded_tokens if workers == 1 else min(THREAD_PADDED_TOKENS, max_padded_tokens // workers)


@dataclass(slots=True)
class BatchShape:
    """The shape of a batch that grows text by text.

    Attributes:
        max_padded_tokens: The maximum; only a single text may be longer.
        texts: The number of texts.
        longest: The tokens of the longest.
    """

    max_padded_tokens: int
    texts: int = 0
    longest: int = 0

    def add(self, length: int) -> bool:
        """Adds a text of so many tokens, unless the batch would be too large; returns whether it did."""
        longest = max(self.longest, length)
        if self.texts and (self.texts + 1) * longest > self.max_padded_tokens:
            return False
        self.texts, self.longest = self.texts + 1, longest
        return True


def plan_batches(lengths: Sequence[int], max_padded_tokens: int) -> list[list[int]]:
    """Groups texts of similar length, so that few tokens are padding.

    Longest first, so that the largest batch, which decides the peak of memory, comes first. A text longer
    than the maximum is a batch of its own.

    Args:
        lengths: Tokens of each text.
        max_padded_tokens: The maximum of a batch.

    Returns:
        Batches of indices into `lengths`; every index stands in exactly one.
    """
    batches: list[list[int]] = [[]]
    shape = BatchShape(max_padded_tokens)
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not shape.add(lengths[index]):
            shape = BatchShape(max_padded_tokens, 1, lengths[index])
            batches.append([])
        batches[-1].append(index)
    return batches if lengths else []


def pad(rows: Sequence[NDArray[np.integer[Any]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Puts rows of token ids into one array, each padded to the longest.

    What stands in the padding does not matter to the graph; 1 is the pad id of XLM-R.

    Args:
        rows: Token ids of each text.

    Returns:
        Ids and attention mask, both int64 [texts, longest].
    """
    longest = max(map(len, rows))
    ids = np.ones((len(rows), longest), np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask
