"""`.jsonl` and `.ndjson`: a JSON object a line. Columns have the type that all their values share."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from e5_onnx.bulk.column_types import ValueKinds, json_kind, json_value, value_or_null
from e5_onnx.bulk.formats.byte_stream import named_damage, open_bytes
from e5_onnx.bulk.formats.line_rows import LineRows, ParsedRow
from e5_onnx.bulk.rows import FileShape, Flaw, RowReader
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.records import Line, MalformedRecordError, find_value, read_lines, read_record, reason
from e5_onnx.text_input.text_files import InputFile


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts the lines and sees which kinds of values the columns hold.

    Raises:
        InputFileError: If the file is damaged, or is not JSON lines.
    """
    beside = columns.beside_text
    kinds: dict[str, set[str]] = {name: set() for name in beside}
    rows = 0
    with open_bytes(file) as stream, named_damage(file):
        for line in read_lines("jsonl", stream):
            rows += 1
            # Where only texts are asked for, nothing needs to be parsed twice.
            text, values = _read(line, columns) if beside else (None, {})
            if isinstance(text, str):
                for name, source in beside.items():
                    kinds[name].add(json_kind(find_value(values, source)))
    return FileShape(rows, {name: ValueKinds(frozenset(found)) for name, found in kinds.items()})


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""
    stream = open_bytes(file)

    def parse(line: Line) -> ParsedRow:
        return _parse(line, columns, beside)

    return LineRows(file, stream, read_lines("jsonl", stream), parse=parse, beside=beside)


def _read(line: Line, columns: Columns) -> tuple[str | Flaw, dict[str, Any]]:
    """The text of a line, or its flaw, and the object that it is in, if it is one."""
    try:
        record = read_record("jsonl", line, columns.text_column)
    except MalformedRecordError as error:
        found = None if columns.id_column is None else find_value(error.values, columns.id_column)
        return Flaw(reason(error), found), error.values
    except (ValueError, RecursionError) as error:
        return Flaw(reason(error)), {}
    return record.text, record.values


def _parse(line: Line, columns: Columns, beside: pa.Schema) -> ParsedRow:
    text, values = _read(line, columns)
    cells: list[object] = []
    for name, source in columns.beside_text.items():
        value, entry = find_value(values, source), beside.field(name)
        try:
            cells.append(
                json_value(value, entry) if isinstance(text, str) else value_or_null(json_value, value, entry)
            )
        except UnicodeEncodeError as error:
            text = Flaw(f"field {source!r}: {reason(error)}")
            cells.append(None)
    return ParsedRow(text, cells, line.number)
