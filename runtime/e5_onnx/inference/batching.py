"""Which texts run together: pure functions on lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Groups texts of similar length so that a batch's grid holds at most `token_budget` cells.

    Longest first, so that the largest batch, which decides the peak of memory, comes first. A text longer
    than the budget makes a batch of its own.

    Args:
        lengths: Tokens of each text.
        token_budget: Texts in a batch x tokens of its longest.

    Returns:
        Batches of indices into `lengths`; every index stands in exactly one.
    """
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if room == 0:
            batches.append([])
            room = max(1, token_budget // lengths[index])
        batches[-1].append(index)
        room -= 1
    return batches


def pad(rows: Sequence[NDArray[np.integer[Any]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Puts rows of token ids into a grid.

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
