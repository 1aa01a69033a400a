"""`.txt`: a text a line."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.byte_stream import named_damage, open_bytes
from e5_onnx.bulk.formats.line_rows import LineRows, lines
from e5_onnx.bulk.rows import FileShape, Flaw, RowReader, Rows, no_columns
from e5_onnx.bulk_job import Columns
from e5_onnx.records import bare_line, reason
from e5_onnx.text_files import InputFile


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts the lines.

    Raises:
        InputFileError: If other columns than the text are asked for, or the file is damaged.
    """
    for name in columns.beside_text.values():
        raise InputFileError(str(file), f"a .txt file has no columns beside its texts, so no {name!r}")
    with open_bytes(file) as stream, named_damage(file):
        return FileShape(sum(1 for _ in lines(stream)), {})


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""
    stream = open_bytes(file)
    return LineRows(file, stream, _numbered(lines(stream)), parse=_rows)


def _numbered(found: Iterator[bytes | Flaw]) -> Iterator[bytes | Flaw]:
    for number, line in enumerate(found, 1):
        yield line if isinstance(line, Flaw) else bare_line(line, number)


def _rows(found: list[bytes | Flaw]) -> Rows:
    return Rows(list(map(_text, found)), no_columns(len(found)))


def _text(line: bytes | Flaw) -> str | Flaw:
    if isinstance(line, Flaw):
        return line
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        return Flaw(reason(error))
