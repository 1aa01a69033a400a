"""`.arrow` and `.feather`: Arrow's own file or stream format, told apart by how the file begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

import pyarrow as pa

from e5_onnx.bulk.formats.arrow_rows import ArrowRows, from_row, shape_types
from e5_onnx.bulk.formats.byte_stream import named_damage
from e5_onnx.bulk.rows import FileShape, RowReader
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.text_files import InputFile

_FILE_MAGIC: Final = b"ARROW1"


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts the rows of all batches.

    Raises:
        InputFileError: If the file is damaged, or has not the columns.
    """
    with named_damage(file), _map(file) as source:
        schema, batches = _open(source)
        types = shape_types(file, schema, columns)
        return FileShape(sum(len(batch) for batch in batches), types)


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""

    def open_at(row: int) -> tuple[IO[Any], Iterator[pa.RecordBatch]]:
        source = _map(file)
        _, batches = _open(source)
        return source, from_row(batches, row)

    return ArrowRows(file, open_at, columns=columns, beside=beside)


def _map(file: InputFile) -> IO[Any]:
    file.path.open("rb").close()  # the system's own error, which names the file
    mapped: IO[Any] = pa.memory_map(str(file.path))
    return mapped


def _open(source: IO[Any]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    begins = source.read(len(_FILE_MAGIC))
    source.seek(0)
    if begins != _FILE_MAGIC:
        stream = pa.ipc.open_stream(source)
        return stream.schema, iter(stream)
    file = pa.ipc.open_file(source)
    return file.schema, map(file.get_batch, range(file.num_record_batches))
