"""Reading files: a module a format, each with `survey` and `open_rows`."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

import pyarrow as pa

from e5_onnx.bulk.formats.partitions import PartitionedRows, kinds_of, path_values, without
from e5_onnx.bulk.rows import FileShape, RowReader
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.text_files import FileFormat, InputFile


class _Reader(Protocol):
    def survey(self, file: InputFile, columns: Columns) -> FileShape: ...

    def open_rows(self, file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader: ...


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts a file's rows and looks for the columns.

    Raises:
        InputFileError: If it cannot be read as what its name says, or lacks a column.
        OSError: If it cannot be read at all.
    """
    cells = path_values(file.path, columns)
    shape = _reader(file.format).survey(file, without(columns, cells))
    return FileShape(shape.rows, {**shape.types, **kinds_of(cells)})


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens a file that was surveyed.

    Args:
        file: The file.
        columns: The columns that are read.
        beside: Names and types, in the output, of those beside the text.

    Raises:
        InputFileError: If it cannot be read as what its name says.
        OSError: If it cannot be read at all.
    """
    cells = path_values(file.path, columns)
    inside = pa.schema([entry for entry in beside if entry.name not in cells])
    reader = _reader(file.format).open_rows(file, without(columns, cells), inside)
    return PartitionedRows(reader, cells, beside) if cells else reader


def _reader(kind: FileFormat) -> _Reader:
    module: _Reader = import_module(f"{__name__}.{kind.reader}")
    return module
