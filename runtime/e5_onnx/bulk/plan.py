"""Which rows are done together: pure arithmetic on the numbers of rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive rows of one file.

    Attributes:
        file: Its place in the list of files.
        first: Row of the file.
        rows: How many; at least 1.
    """

    file: int
    first: int
    rows: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive rows of the whole input, done or not done together.

    Attributes:
        index: From 0.
        first: Row of the input.
        slices: Where its rows are, in order; none if the input has no rows.
    """

    index: int
    first: int
    slices: tuple[Slice, ...]

    @property
    def rows(self) -> int:
        """How many."""
        return sum(part.rows for part in self.slices)


class Plan:
    """All shards of an input, made when they are asked for: there may be millions.

    An input without rows has one shard, so that its output says of what kind it is.
    """

    def __init__(self, rows: Sequence[int], shard_rows: int) -> None:
        """Plans.

        Args:
            rows: Of each file.
            shard_rows: Of each shard but the last.
        """
        self._starts = [0, *accumulate(rows)]
        self._shard_rows = shard_rows

    @property
    def rows(self) -> int:
        """Of the whole input."""
        return self._starts[-1]

    def __len__(self) -> int:
        return max(1, -(-self.rows // self._shard_rows))

    def __getitem__(self, index: int) -> Shard:
        if not 0 <= index < len(self):
            raise IndexError(index)
        first = index * self._shard_rows
        end = min(first + self._shard_rows, self.rows)
        slices = []
        row = first
        while row < end:
            # The last file that begins at or before the row: those without rows begin there too.
            file = bisect_right(self._starts, row) - 1
            rows = min(end, self._starts[file + 1]) - row
            slices.append(Slice(file, row - self._starts[file], rows))
            row += rows
        return Shard(index, first, tuple(slices))
