"""Which rows are embedded and written together: arithmetic on the numbers of rows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive rows of one file.

    Attributes:
        file: Its place in the list of files.
        first: The first row in the file.
        rows: The number of rows; at least 1.
    """

    file: int
    first: int
    rows: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Consecutive rows of the whole input that are written to one part of the output.

    Attributes:
        first: The first row in the whole input.
        slices: The places of its rows, in order; none if the input has no rows.
    """

    first: int
    slices: tuple[Slice, ...]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(part.rows for part in self.slices)


class ShardPlan:
    """The shards of an input, made one by one: there may be millions.

    A shard ends where the row number is a multiple of `shard_rows`. A run that was stopped leaves a shorter
    one, and the next run has a shard for the rest. An input without rows has one shard, so that its output
    has columns.
    """

    def __init__(self, rows: Sequence[int], shard_rows: int) -> None:
        """Plans.

        Args:
            rows: The number of rows of each file.
            shard_rows: The most rows of a shard.
        """
        self._starts = [0, *accumulate(rows)]
        self._shard_rows = shard_rows

    @property
    def rows(self) -> int:
        """The number of rows of the whole input."""
        return self._starts[-1]

    def missing(self, done: Mapping[int, int]) -> Iterator[Shard]:
        """Yields the shards that remain, in order.

        Args:
            done: The first row and the number of rows of each finished shard, as `accepted` returns them.
        """
        if not self.rows and 0 not in done:
            yield self.shard(0, 0)
        starts = sorted(done)
        row = 0
        while row < self.rows:
            if row not in done:
                following = bisect_right(starts, row)
                ends = [self._end_of_shard(row), *starts[following : following + 1]]
                yield self.shard(row, min(ends) - row)
                row = min(ends)
            else:
                row += done[row]

    def accepted(self, done: Mapping[int, int]) -> dict[int, int]:
        """Returns the ranges of rows that are shards of this plan and do not overlap."""
        found: dict[int, int] = {}
        free = 0
        for first in sorted(done):
            end = first + done[first]
            is_shard = free <= first < end <= self._end_of_shard(first) if self.rows else first == end == 0
            if is_shard:
                found[first], free = done[first], end
        return found

    def shard(self, first: int, rows: int) -> Shard:
        """The shard of some rows.

        Args:
            first: The first row in the whole input.
            rows: The number of rows.
        """
        slices = []
        row, end = first, first + rows
        while row < end:
            # The last file that begins at or before the row: those without rows begin there too.
            file = bisect_right(self._starts, row) - 1
            count = min(end, self._starts[file + 1]) - row
            slices.append(Slice(file, row - self._starts[file], count))
            row += count
        return Shard(first, tuple(slices))

    def _end_of_shard(self, row: int) -> int:
        return min((row // self._shard_rows + 1) * self._shard_rows, self.rows)
