"""What comes out of a file: texts, or why there is none, with the columns that go along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

# Rows that are in memory before anybody looks how long they are.
PIECE_ROWS: Final = 128


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a row is no text.

    Attributes:
        reason: For people.
        id: The row's, where it could be read and the columns do not have it.
    """

    reason: str
    id: object = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of a file.

    Attributes:
        texts: A text, or its flaw, for each.
        columns: The columns beside the text, by their names in the output; where the row has a flaw they may
            be null.
    """

    texts: list[str | Flaw]
    columns: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.texts)


class RowReader(Protocol):
    """An open file, read from front to back.

    Attributes:
        position: The number of the next row.
    """

    position: int

    def skip(self, rows: int) -> None:
        """Passes over rows."""

    def read(self, rows: int) -> Rows:
        """Returns up to so many rows, and none only at the end."""

    def close(self) -> None:
        """Lets go of the file."""


@dataclass(frozen=True, slots=True)
class FileShape:
    """What there is to know of a file before it is read.

    Attributes:
        rows: How many, bad ones included.
        types: The Arrow type of each column beside the text, by its name in the output; or the kinds of
            JSON values in it, where the file does not say.
    """

    rows: int
    types: dict[str, pa.DataType | frozenset[str]]


def no_columns(rows: int) -> pa.RecordBatch:
    """Columns of a file that has none beside its text."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
