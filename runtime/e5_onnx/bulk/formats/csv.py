"""`.csv`: comma-separated, the first row naming the columns. Every cell is a string and none is null."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.byte_stream import named_damage, open_bytes
from e5_onnx.bulk.formats.line_rows import LineRows
from e5_onnx.bulk.rows import FileShape, Flaw, RowReader, Rows, no_columns
from e5_onnx.bulk_job import Columns
from e5_onnx.records import LONGEST
from e5_onnx.text_files import InputFile

Cells = list[str]


def survey(file: InputFile, columns: Columns) -> FileShape:
    """Counts the rows and looks for the columns; a file of no bytes has neither.

    Raises:
        InputFileError: If a column is not there, or there twice, or the file is damaged.
    """
    with _open(file) as text, named_damage(file):
        header, records = _begin(file, text)
        if header is not None:
            for name in (columns.text_column, *columns.beside_text.values()):
                _position(file, header, name)
        return FileShape(sum(1 for _ in records), dict.fromkeys(columns.beside_text, pa.string()))


def open_rows(file: InputFile, columns: Columns, beside: pa.Schema) -> RowReader:
    """Opens the file."""
    text = _open(file)
    with named_damage(file):
        header, records = _begin(file, text)
    header = header or [columns.text_column, *columns.beside_text.values()]
    wanted = [_position(file, header, name) for name in (columns.text_column, *columns.beside_text.values())]

    def parse(found: list[Cells | Flaw]) -> Rows:
        rows = [_row(cells, header, wanted) for cells in found]
        texts = [row if isinstance(row, Flaw) else row[0] for row in rows]
        arrays = [
            pa.array([None if isinstance(row, Flaw) else row[position] for row in rows], pa.string())
            for position in range(1, len(wanted))
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=beside) if arrays else no_columns(len(texts))
        return Rows(texts, batch)

    return LineRows(file, text, records, parse=parse)


def _open(file: InputFile) -> IO[str]:
    # Broken bytes become lone surrogates, which no valid UTF-8 has: a row with them is bad, not the file.
    return io.TextIOWrapper(open_bytes(file), "utf-8-sig", "surrogateescape", newline="")


def _begin(file: InputFile, text: IO[str]) -> tuple[Cells | None, Iterator[Cells | Flaw]]:
    # The limit is the whole process's, and 128 kB where nobody has raised it.
    csv.field_size_limit(max(LONGEST, csv.field_size_limit()))
    reader = csv.reader(text, strict=True)
    records = _records(reader)
    header = next(records, None)
    if isinstance(header, Flaw):
        raise InputFileError(str(file), f"its first row, which names the columns: {header.reason}")
    return header, records


def _records(reader: Iterator[Cells]) -> Iterator[Cells | Flaw]:
    while True:
        try:
            cells = next(reader)
        except csv.Error as error:
            yield Flaw(f"not CSV: {error}")
            continue
        except StopIteration:
            return
        # Blank lines are nothing in CSV.
        if cells:
            yield cells


def _position(file: InputFile, header: Sequence[str], name: str) -> int:
    if header.count(name) != 1:
        times = "no column" if name not in header else f"{header.count(name)} columns"
        raise InputFileError(str(file), f"it has {times} {name!r}; it has {', '.join(map(repr, header))}")
    return header.index(name)


def _row(cells: Cells | Flaw, header: Sequence[str], wanted: Sequence[int]) -> Cells | Flaw:
    if isinstance(cells, Flaw):
        return cells
    if len(cells) != len(header):
        return Flaw(f"it has {len(cells)} cells, the first row has {len(header)}")
    found = [cells[position] for position in wanted]
    for position, cell in zip(wanted, found, strict=True):
        try:
            cell.encode()
        except UnicodeEncodeError:
            return Flaw(f"column {header[position]!r} is not UTF-8; convert the file to UTF-8")
    return found
