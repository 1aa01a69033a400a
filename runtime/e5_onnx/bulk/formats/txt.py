"""`.txt`: a text a line."""

from __future__ import annotations

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.byte_stream import named_damage, open_bytes
from e5_onnx.bulk.formats.line_rows import LineRows, ParsedRow
from e5_onnx.bulk.rows import FileShape, Flaw, RowReader
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.records import Line, read_lines, read_record, reason
from e5_onnx.text_input.text_files import InputFile


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
    return LineRows(file, stream, read_lines("txt", stream), parse=_parse, beside=beside)


def _parse(line: Line) -> ParsedRow:
    try:
        return ParsedRow(read_record("txt", line, "text").text, (), line.number)
    except ValueError as error:
        return ParsedRow(Flaw(reason(error)), (), line.number)
