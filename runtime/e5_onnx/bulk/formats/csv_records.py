"""Records of CSV, found so that a stray quote costs its own line and no other."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e5_onnx.bulk.column_types import cell_kind
from e5_onnx.text_input.records import LONGEST

Cells = list[str]

_NUMBERS: Final = ("int", "float")
# Lines with so many delimiters, or with two numbers, where rows have them are rows and not one cell's text.
_PROOF: Final = 8


@dataclass(frozen=True, slots=True)
class CsvRecord:
    """A record.

    Attributes:
        line: The line of the file on which it begins, from 1.
        cells: Its cells; of a bad one, those that its first line has without regard to quotes.
        flaw: The reason to reject it, or None.
    """

    line: int
    cells: Cells
    flaw: str | None = None


class CsvRecords:
    """The records of CSV, one after the other.

    A cell in quotes may hold line ends. A quote that nothing closes properly, or whose cell would swallow
    lines that look like rows of their own, makes its own line a bad record, and reading resumes with the next
    line. Blank lines are no records.
    """

    def __init__(self, lines: Iterator[str], delimiter: str, *, first_line: int = 1) -> None:
        """Begins to read.

        Args:
            lines: Lines with their ends.
            delimiter: The character between cells.
            first_line: The number of the first of the lines.
        """
        # The limit is the whole process's, and 128 kB where nobody has raised it.
        csv.field_size_limit(max(LONGEST, csv.field_size_limit()))
        self.width: int | None = None
        self._lines, self._delimiter, self._line = lines, delimiter, first_line
        self._again: deque[str] = deque()
        self._taken: list[str] = []
        self._reader = self._new_reader()

    def __iter__(self) -> Iterator[CsvRecord]:
        return self

    def __next__(self) -> CsvRecord:
        """The next record.

        Raises:
            StopIteration: At the end.
        """
        while True:
            self._taken.clear()
            try:
                cells, problem = next(self._reader), None
            except csv.Error as error:
                cells, problem = [], str(error)
                self._reader = self._new_reader()
            if problem is None and len(self._taken) > 1 and self._swallows(cells):
                problem = "its lines are rows of their own"
            line, lines = self._line, len(self._taken)
            if problem is not None:
                return self._bad(line, lines, problem)
            self._line += lines
            if cells:
                self.width = self.width or len(cells)
                return CsvRecord(line, cells, self._width_flaw(line, lines, cells))

    def _new_reader(self) -> Iterator[Cells]:
        return csv.reader(self._feed(), strict=True, delimiter=self._delimiter)

    def _feed(self) -> Iterator[str]:
        while (line := self._again.popleft() if self._again else next(self._lines, None)) is not None:
            self._taken.append(line)
            yield line

    def _bad(self, line: int, lines: int, problem: str) -> CsvRecord:
        """The record of the first line taken; the others are read again."""
        first, *others = self._taken
        self._again.extendleft(reversed(others))
        self._line += 1
        if lines > 1:
            problem = (
                f"a quote opens on line {line} and is not closed properly up to line {line + lines - 1} "
                f"({problem}): the {lines - 1:,} lines after line {line} are read as rows of their own"
            )
        return CsvRecord(line, first.rstrip("\r\n").split(self._delimiter), f"not CSV: {problem}")

    def _width_flaw(self, line: int, lines: int, cells: Cells) -> str | None:
        if len(cells) == self.width:
            return None
        where = f" (lines {line} to {line + lines - 1})" if lines > 1 else ""
        return f"it has {len(cells)} cells, the first row has {self.width}{where}"

    def _swallows(self, cells: Cells) -> bool:
        """Whether the lines of a record look like records themselves.

        They do if each has the cells of a record, and numbers where the first line has numbers. One line
        proves little, as text may look so by chance, but enough where the record has the wrong cells anyway.
        """
        opening, *others = (line.rstrip("\r\n").split(self._delimiter) for line in self._taken)
        if len(cells) != self.width:
            inner = others[:-1]
            return bool(inner) and all(len(row) == self.width for row in inner)
        numbers = [place for place, cell in enumerate(opening) if cell_kind(cell) in _NUMBERS]
        proof = len(others) * max(len(opening) - 1, _PROOF // 2 * len(numbers))
        return proof >= _PROOF and all(
            len(row) == self.width and all(cell_kind(row[place]) in _NUMBERS for place in numbers)
            for row in (opening, *others)
        )
