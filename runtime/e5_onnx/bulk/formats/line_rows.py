"""Rows that are read one after the other, for formats that know neither their number nor their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any, Generic, TypeVar

import pyarrow as pa

from e5_onnx.bulk.formats.byte_stream import named_damage
from e5_onnx.bulk.rows import Flaw, Rows, table_of
from e5_onnx.text_input.text_files import InputFile

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """A row.

    Attributes:
        text: Its text, or its flaw.
        cells: Its value in each column beside the text, of the column's type.
        line: The line of the file on which it begins, from 1.
    """

    text: str | Flaw
    cells: Sequence[object]
    line: int


class LineRows(Generic[T]):
    """The protocol `RowReader` over an iterator of unparsed rows.

    Args:
        file: For messages.
        stream: The open file.
        items: The rows as the format separates them.
        parse: Parses one of them.
        beside: Names and types of the columns beside the text.
    """

    def __init__(
        self,
        file: InputFile,
        stream: IO[Any],
        items: Iterator[T],
        *,
        parse: Callable[[T], ParsedRow],
        beside: pa.Schema,
    ) -> None:
        self.position = 0
        self._file, self._stream, self._items = file, stream, items
        self._parse, self._beside = parse, beside

    def skip(self, rows: int) -> None:
        """Passes over rows, which for such a file means to read them."""
        with named_damage(self._file):
            self.position += sum(1 for _ in islice(self._items, rows))

    def read(self, rows: int) -> Rows:
        """Returns so many rows, and fewer only at the end."""
        with named_damage(self._file):
            found = list(map(self._parse, islice(self._items, rows)))
        self.position += len(found)
        arrays = [
            pa.array([row.cells[column] for row in found], entry.type)
            for column, entry in enumerate(self._beside)
        ]
        columns = table_of(arrays, self._beside, len(found))
        return Rows([row.text for row in found], columns, [row.line for row in found])

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()
