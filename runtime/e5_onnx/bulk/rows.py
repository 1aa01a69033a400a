"""What a file gives: texts, or why there is none, with the columns that are copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

from e5_onnx.bulk.column_types import ValueKinds

# Rows that are in memory before their length is looked at.
PIECE_ROWS: Final = 32


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a row has no text.

    Attributes:
        reason: For people.
        id: The row's id, where it could be read and the columns do not have it.
    """

    reason: str
    id: object = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows of a file.

    Attributes:
        texts: The text of each row, or its flaw.
        columns: The columns beside the text, by their names in the output; null where a flaw hides them.
        lines: The line of the file on which each row begins, from 1; None for a file without lines.
    """

    texts: list[str | Flaw]
    columns: pa.Table
    lines: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.texts)


class RowReader(Protocol):
    """An open file, read from front to back."""

    @property
    def position(self) -> int:
        """The number of the next row."""

    def skip(self, rows: int) -> None:
        """Passes over rows."""

    def read(self, rows: int) -> Rows:
        """Returns so many rows, and fewer only at the end: what is read depends on the position alone."""

    def close(self) -> None:
        """Closes the file."""


@dataclass(frozen=True, slots=True)
class FileShape:
    """The row count and column types of a file, known before it is read.

    Attributes:
        rows: The number of rows, bad ones included.
        types: The Arrow type of each column beside the text, by its name in the output; or the kinds of
            its values, where the file does not declare a type.
    """

    rows: int
    types: dict[str, pa.DataType | ValueKinds]


def table_of(arrays: Sequence[pa.Array], beside: pa.Schema, rows: int) -> pa.Table:
    """Columns as a table, which may have rows and no columns."""
    if arrays:
        return pa.Table.from_arrays(arrays, schema=beside)
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))])
