"""`.csv` and `.tsv`: cells between delimiters, the first row naming the columns.

The type of a column is that of all its cells, as `column_types` says. An id is a whole number or a string.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import chain
from typing import IO, Final

import pyarrow as pa

from e5_onnx.bulk.column_types import ValueKinds, cell_kind, cell_value, value_or_null
from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.byte_stream import named_damage, open_bytes
from e5_onnx.bulk.formats.csv_records import Cells, CsvRecord, CsvRecords
from e5_onnx.bulk.formats.headers import check_columns
from e5_onnx.bulk.formats.line_rows import LineRows, ParsedRow
from e5_onnx.bulk.rows import FileShape, Flaw, RowReader
from e5_onnx.bulk_job import ID, Columns
from e5_onnx.text_input.records import refuse_utf16
from e5_onnx.text_input.text_files import InputFile

_DELIMITERS: Final = {"csv": ",;\t|", "tsv": "\t,;|"}
# Excel's way to name the delimiter, before the header.
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?[\r\n]*')


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts the rows, looks for the columns and sees which kinds of cells they hold.

    Raises:
        InputFileError: If a column is not there, or there twice, or the file is damaged.
    """
    with _open(file) as text, named_damage(file):
        header, records = _begin(file, text, columns)
        wanted = _positions(header, columns)
        kinds: dict[str, set[str]] = {name: set() for name in columns.beside_text}
        rows = 0
        for record in records:
            rows += 1
            if record.flaw is None:
                for name, position in zip(kinds, wanted[1:], strict=True):
                    kinds[name].add(cell_kind(record.cells[position]))
    types = {name: ValueKinds(frozenset(found), are_texts=True) for name, found in kinds.items()}
    if not types.get(ID, ValueKinds(frozenset())).found <= {"null", "int"}:
        types[ID] = ValueKinds(frozenset({"str"}), are_texts=True)
    return FileShape(rows, types)


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""
    text = _open(file)
    with named_damage(file):
        header, records = _begin(file, text, columns)
    wanted = _positions(header, columns)

    def parse(record: CsvRecord) -> ParsedRow:
        return _parse(record, header, wanted, beside=beside)

    return LineRows(file, text, records, parse=parse, beside=beside)


def _open(file: InputFile) -> io.TextIOWrapper:
    # Broken bytes become lone surrogates, which no valid UTF-8 has: a row with them is bad, not the file.
    return io.TextIOWrapper(open_bytes(file), "utf-8-sig", "surrogateescape", newline="")


def _begin(file: InputFile, text: io.TextIOWrapper, columns: Columns) -> tuple[Cells, CsvRecords]:
    """The names of the columns, and the records after them; an empty file has all columns and no records."""
    refuse_utf16(text.buffer.peek(4)[:4])  # type: ignore[attr-defined]  # all of `open_bytes` have it
    first, number = _next_line(text, 0)
    delimiter = columns.delimiter
    if separator := _SEPARATOR_LINE.fullmatch(first):
        delimiter = delimiter or separator[1]
        first, number = _next_line(text, number)
    delimiter = delimiter or _detect(first, _DELIMITERS[file.format.name], columns)
    records = CsvRecords(chain([first], text), delimiter, first_line=number)
    header = next(records, None)
    if header is None:
        return [columns.text_column, *columns.beside_text.values()], records
    if header.flaw is not None:
        raise InputFileError(str(file), f"its first row, which names the columns: {header.flaw}")
    check_columns(file, header.cells, columns)
    return header.cells, records


def _next_line(text: IO[str], number: int) -> tuple[str, int]:
    """The next line that is not blank and its number; the empty string at the end."""
    for line in iter(text.readline, ""):
        number += 1
        if line.strip("\r\n"):
            return line, number
    return "", number


def _detect(header: str, delimiters: str, columns: Columns) -> str:
    """The delimiter that gives the columns that are asked for, else the one that gives most columns."""
    wanted = {columns.text_column, *columns.beside_text.values()}
    names = {delimiter: set(next(csv.reader([header], delimiter=delimiter))) for delimiter in delimiters}
    return next(
        (delimiter for delimiter in delimiters if wanted <= names[delimiter]),
        max(delimiters, key=lambda delimiter: len(names[delimiter])),
    )


def _positions(header: Cells, columns: Columns) -> list[int]:
    return [header.index(name) for name in (columns.text_column, *columns.beside_text.values())]


def _parse(record: CsvRecord, header: Cells, wanted: Sequence[int], *, beside: pa.Schema) -> ParsedRow:
    if record.flaw is not None:
        return _bad_row(record, len(header), wanted, beside=beside)
    text, *others = found = [record.cells[position] for position in wanted]
    for position, cell in zip(wanted, found, strict=True):
        if not _is_unicode(cell):
            flaw = Flaw(f"column {header[position]!r} is not UTF-8; convert the file to UTF-8")
            cells = [
                value_or_null(cell_value, cell, entry) for cell, entry in zip(others, beside, strict=True)
            ]
            return ParsedRow(flaw, cells, record.line)
    return ParsedRow(
        text, [cell_value(cell, entry) for cell, entry in zip(others, beside, strict=True)], record.line
    )


def _bad_row(record: CsvRecord, width: int, wanted: Sequence[int], *, beside: pa.Schema) -> ParsedRow:
    """A row whose cells cannot be told apart; its id often can."""
    nulls: list[object] = [None] * len(beside)
    if ID not in beside.names:
        return ParsedRow(Flaw(str(record.flaw)), nulls, record.line)
    text, position, surplus = wanted[0], wanted[1], len(record.cells) - width
    # A surplus of cells comes from delimiters in the text.
    position += max(surplus, 0) if position > text else 0
    shown = record.cells[position].strip('"') if position < len(record.cells) else None
    known = None if shown is None else value_or_null(cell_value, shown, beside.field(ID))
    return ParsedRow(
        Flaw(str(record.flaw), shown if known is None else known), [known, *nulls[1:]], record.line
    )


def _is_unicode(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
