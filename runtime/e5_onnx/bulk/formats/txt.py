"""`.txt`: a text a line."""

from __future__ import annotations

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.byte_stream import named_damage, open_bytes
from e5_onnx.bulk.formats.line_rows import LineRows
from e5_onnx.bulk.rows import FileShape, Flaw, RowReader, Rows, no_columns
from e5_onnx.bulk_job import Columns
from e5_onnx.records import Line, read_lines, read_record, reason
from e5_onnx.text_files import InputFile


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts the lines.

    Raises:
        InputFileError: If other columns than the text are asked for, or the file is damaged.
    """
    for name in columns.beside_text.values():
        raise InputFileError(str(file), f"a .txt file has no columns beside its texts, so no {name!r}")
    with open_bytes(file) as stream, named_damage(file):
        return FileShape(sum(1 for _ in read_lines("txt", stream)), {})


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""
    stream = open_bytes(file)
    return LineRows(file, stream, read_lines("txt", stream), parse=_rows)


def _rows(found: list[Line]) -> Rows:
    return Rows(list(map(_text, found)), no_columns(len(found)))


def _text(line: Line) -> str | Flaw:
    try:
        return read_record("txt", line, "text").text
    except ValueError as error:
        return Flaw(reason(error))
