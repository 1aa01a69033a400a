"""Rows that are lines, one after the other, for formats that know neither their number nor their places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, Any, Generic, TypeVar

from e5_onnx.bulk.formats.byte_stream import named_damage
from e5_onnx.bulk.rows import Rows
from e5_onnx.text_files import InputFile

T = TypeVar("T")


class LineRows(Generic[T]):
    """The protocol `RowReader` over an iterator of unparsed rows."""

    def __init__(
        self, file: InputFile, stream: IO[Any], items: Iterator[T], *, parse: Callable[[list[T]], Rows]
    ) -> None:
        self.position = 0
        self._file, self._stream, self._items, self._parse = file, stream, items, parse

    def skip(self, rows: int) -> None:
        """Passes over rows, which for such a file means to read them."""
        with named_damage(self._file):
            self.position += sum(1 for _ in islice(self._items, rows))

    def read(self, rows: int) -> Rows:
        """Returns up to so many rows, and none only at the end."""
        with named_damage(self._file):
            found = list(islice(self._items, rows))
        self.position += len(found)
        return self._parse(found)

    def close(self) -> None:
        """Lets go of the file."""
        self._stream.close()
