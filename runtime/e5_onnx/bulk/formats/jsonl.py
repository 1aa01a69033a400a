"""`.jsonl`: a JSON object a line. Columns have the type that all their values share."""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

from e5_onnx.bulk.formats.byte_stream import named_damage, open_bytes
from e5_onnx.bulk.formats.line_rows import LineRows
from e5_onnx.bulk.rows import FileShape, Flaw, RowReader, Rows, no_columns
from e5_onnx.bulk_job import Columns
from e5_onnx.records import Line, MalformedRecordError, read_lines, read_record, reason
from e5_onnx.text_files import InputFile

Values = dict[str, Any]

_KINDS: Final[dict[type, str]] = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
_TYPES: Final = (
    (frozenset({"bool"}), pa.bool_()),
    (frozenset({"int"}), pa.int64()),
    (frozenset({"int", "float"}), pa.float64()),
    (frozenset({"str"}), pa.string()),
)
_INT64: Final = range(-(1 << 63), 1 << 63)


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts the lines and sees which kinds of values the columns hold.

    Raises:
        InputFileError: If the file is damaged.
    """
    beside = columns.beside_text
    kinds: dict[str, set[str]] = {name: set() for name in beside}
    rows = 0
    with open_bytes(file) as stream, named_damage(file):
        for rows, line in enumerate(read_lines("jsonl", stream), 1):  # noqa: B007 - the last one is their count
            # Where only texts are asked for, nothing needs to be parsed twice.
            values = _values(line, columns) if beside else None
            if isinstance(values, dict):
                for name, source in beside.items():
                    kinds[name].add(kind_of(values.get(source)))
    return FileShape(rows, {name: frozenset(found) for name, found in kinds.items()})


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""
    stream = open_bytes(file)

    def parse(found: list[Line]) -> Rows:
        return _rows([_values(line, columns) for line in found], columns, beside)

    return LineRows(file, stream, read_lines("jsonl", stream), parse=parse)


def type_of(kinds: frozenset[str]) -> pa.DataType:
    """The type of a column with values of these kinds: what does not go together becomes JSON in a string."""
    present = kinds - {"null"}
    for allowed, kind in _TYPES:
        if present and present <= allowed:
            return kind
    return pa.string()


def kind_of(value: object) -> str:
    """The kind of a JSON value; whole numbers that fit nowhere are `other`, as arrays and objects are."""
    kind = _KINDS.get(type(value), "other")
    return "other" if isinstance(value, int) and value not in _INT64 else kind


def _values(line: Line, columns: Columns) -> Values | Flaw:
    try:
        return read_record("jsonl", line, columns.text_column).values
    except MalformedRecordError as error:
        return Flaw(reason(error), error.values.get(columns.id_column or ""))
    except (ValueError, RecursionError) as error:
        return Flaw(reason(error))


def _rows(found: list[Values | Flaw], columns: Columns, beside: pa.Schema) -> Rows:
    texts: list[str | Flaw] = []
    cells: list[list[Any]] = [[] for _ in beside]
    for values in found:
        row = values if isinstance(values, Flaw) else _row(values, columns, beside)
        for column, cell in zip(cells, [None] * len(cells) if isinstance(row, Flaw) else row, strict=True):
            column.append(cell)
        # What has no flaw is an object whose text is a string: read_record saw to that.
        texts.append(row if isinstance(row, Flaw) else values[columns.text_column])  # type: ignore[index]
    arrays = [pa.array(column, entry.type) for column, entry in zip(cells, beside, strict=True)]
    return Rows(
        texts, pa.RecordBatch.from_arrays(arrays, schema=beside) if arrays else no_columns(len(texts))
    )


def _row(values: Values, columns: Columns, beside: pa.Schema) -> list[Any] | Flaw:
    cells = []
    for name, source in columns.beside_text.items():
        try:
            cells.append(_cell(values.get(source), beside.field(name).type))
        except UnicodeEncodeError as error:
            return Flaw(f"field {source!r}: {reason(error)}")
    return cells


def _cell(value: object, kind: pa.DataType) -> object:
    if value is None:
        return None
    if kind == pa.float64():
        return float(value)  # type: ignore[arg-type]  # the survey saw nothing but numbers
    if kind != pa.string():
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text.encode()
    return text
