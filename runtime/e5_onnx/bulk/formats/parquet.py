"""`.parquet`: the number of rows stands in the file, and row groups can be passed over unread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from e5_onnx.bulk.formats.arrow_rows import ArrowRows, from_row, shape_types
from e5_onnx.bulk.formats.byte_stream import named_damage
from e5_onnx.bulk.rows import PIECE_ROWS, FileShape, RowReader
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.text_files import InputFile

# Of each column at a time, so that row groups of gigabytes are read through a small window.
_BUFFER_BYTES: Final = 1 << 20


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Reads the file's own description.

    Raises:
        InputFileError: If it has none, or has not the columns.
    """
    with _open(file) as parquet, named_damage(file):
        return FileShape(parquet.metadata.num_rows, shape_types(file, parquet.schema_arrow, columns))


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""
    wanted = sorted({columns.text_column, *columns.beside_text.values()})

    def open_at(row: int) -> tuple[IO[Any], Iterator[pa.RecordBatch]]:
        parquet = _open(file)
        groups, first = _groups_from(parquet.metadata, row)
        batches = parquet.iter_batches(PIECE_ROWS, row_groups=groups, columns=wanted)
        return parquet, from_row(batches, first)

    return ArrowRows(file, open_at, columns=columns, beside=beside)


def _open(file: InputFile) -> pq.ParquetFile:
    file.path.open("rb").close()  # the system's own error, which names the file
    with named_damage(file):
        return pq.ParquetFile(file.path, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def _groups_from(metadata: pq.FileMetaData, row: int) -> tuple[list[int], int]:
    """The row groups from the one with a row on, and the row's place in it."""
    for group in range(metadata.num_row_groups):
        size = metadata.row_group(group).num_rows
        if row < size:
            return list(range(group, metadata.num_row_groups)), row
        row -= size
    return [], 0
