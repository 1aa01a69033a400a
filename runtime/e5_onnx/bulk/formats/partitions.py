"""Columns whose value stands in the path of a file, as in `year=2024/part.parquet`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pyarrow as pa

from e5_onnx.bulk.column_types import ValueKinds, cell_kind, cell_value
from e5_onnx.bulk.rows import RowReader, Rows
from e5_onnx.bulk_job import Columns

_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


def path_values(path: Path, columns: Columns) -> dict[str, str]:
    """The kept columns that a path gives, each with its cell."""
    pairs = (folder.name.partition("=") for folder in path.parents)
    cells = {
        unquote(name): "" if value == _NULL else unquote(value) for name, equals, value in pairs if equals
    }
    return {name: cells[name] for name in columns.keep if name in cells}


def without(columns: Columns, names: Mapping[str, str]) -> Columns:
    """The columns that are left for the file itself."""
    keep = tuple(name for name in columns.keep if name not in names)
    return replace(columns, keep=keep)


def kinds_of(cells: Mapping[str, str]) -> dict[str, ValueKinds]:
    """The kinds of values of such columns."""
    return {name: ValueKinds(frozenset({cell_kind(cell)}), are_texts=True) for name, cell in cells.items()}


class PartitionedRows:
    """The protocol `RowReader` over another, with the columns of the path added.

    Args:
        reader: The rows of the file.
        cells: The columns of the path.
        beside: Names and types of all columns beside the text.
    """

    def __init__(self, reader: RowReader, cells: Mapping[str, str], beside: pa.Schema) -> None:
        self._reader, self._beside = reader, beside
        self._values = {
            name: cell_value(cell, beside.field(name)) if cell else None for name, cell in cells.items()
        }

    @property
    def position(self) -> int:
        """The number of the next row."""
        return self._reader.position

    def skip(self, rows: int) -> None:
        """Passes over rows."""
        self._reader.skip(rows)

    def read(self, rows: int) -> Rows:
        """Returns so many rows, and fewer only at the end."""
        found = self._reader.read(rows)
        arrays = [
            pa.array([self._values[entry.name]] * len(found), entry.type)
            if entry.name in self._values
            else found.columns.column(entry.name)
            for entry in self._beside
        ]
        return replace(found, columns=pa.Table.from_arrays(arrays, schema=self._beside))

    def close(self) -> None:
        """Closes the file."""
        self._reader.close()
