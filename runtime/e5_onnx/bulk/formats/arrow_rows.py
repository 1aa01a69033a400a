"""Rows out of Arrow record batches, whatever file they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.byte_stream import named_damage
from e5_onnx.bulk.rows import Flaw, Rows, no_columns
from e5_onnx.bulk_job import Columns
from e5_onnx.records import reason
from e5_onnx.text_files import InputFile


def shape_types(file: InputFile, schema: pa.Schema, columns: Columns) -> dict[str, pa.DataType]:
    """Looks for the columns and returns the types, in the output, of those beside the text.

    Raises:
        InputFileError: If one is not there, or there twice, or the text's holds no texts.
    """
    for name in (columns.text_column, *columns.beside_text.values()):
        if schema.names.count(name) != 1:
            times = "no column" if name not in schema.names else f"{schema.names.count(name)} columns"
            reason = f"it has {times} {name!r}; it has {', '.join(map(repr, schema.names))}"
            raise InputFileError(str(file), reason)
    text = plain_type(schema.field(columns.text_column).type)
    if text not in (pa.string(), pa.binary(), pa.null()):
        raise InputFileError(str(file), f"column {columns.text_column!r} holds {text}, not texts")
    return {name: plain_type(schema.field(source).type) for name, source in columns.beside_text.items()}


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that a column has in the output: there is one for strings, and none for dictionaries."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


class ArrowRows:
    """The protocol `RowReader` over record batches.

    Args:
        file: For messages.
        open_at: Opens the file at a row: what to close, and the batches from there on.
        columns: Which columns are read.
        beside: Their names and types in the output.
    """

    def __init__(
        self,
        file: InputFile,
        open_at: Callable[[int], tuple[IO[Any], Iterator[pa.RecordBatch]]],
        *,
        columns: Columns,
        beside: pa.Schema,
    ) -> None:
        self.position = 0
        self._file, self._open_at, self._columns, self._beside = file, open_at, columns, beside
        self._source: IO[Any] | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None

    def skip(self, rows: int) -> None:
        """Passes over rows: those that lie before a place where the file can be opened are not read."""
        self.close()
        self.position += rows

    def read(self, rows: int) -> Rows:
        """Returns up to so many rows, and none only at the end."""
        with named_damage(self._file):
            if self._source is None:
                self._source, self._batches = self._open_at(self.position)
            batch = self._next()
            if batch is None:
                return Rows(
                    [], self._beside.empty_table().to_batches()[0] if len(self._beside) else no_columns(0)
                )
            found, rest = batch.slice(0, rows), batch.slice(rows)
            self._rest = rest if len(rest) else None
            self.position += len(found)
            return _rows(found, self._columns, self._beside)

    def close(self) -> None:
        """Lets go of the file."""
        if self._source is not None:
            self._source.close()
        self._source, self._rest, self._batches = None, None, iter(())

    def _next(self) -> pa.RecordBatch | None:
        if self._rest is not None:
            return self._rest
        return next((batch for batch in self._batches if len(batch)), None)


def from_row(batches: Iterator[pa.RecordBatch], first: int) -> Iterator[pa.RecordBatch]:
    """Leaves out the rows before `first`."""
    for batch in batches:
        if first < len(batch):
            yield batch.slice(first)
        first = max(0, first - len(batch))


def _rows(batch: pa.RecordBatch, columns: Columns, beside: pa.Schema) -> Rows:
    texts: list[str | Flaw] = _texts(batch.column(columns.text_column))
    arrays = []
    for entry, source in zip(beside, columns.beside_text.values(), strict=True):
        array = batch.column(source).cast(entry.type)
        _find_flaws(texts, array, source)
        arrays.append(array)
    return Rows(
        texts, pa.RecordBatch.from_arrays(arrays, schema=beside) if arrays else no_columns(len(batch))
    )


def _texts(array: pa.Array) -> list[str | Flaw]:
    if pa.types.is_null(array.type):
        return [_text(None)] * len(array)
    return list(map(_text, array.cast(plain_type(array.type)).cast(pa.large_binary()).to_pylist()))


def _text(data: bytes | None) -> str | Flaw:
    if data is None:
        return Flaw("the text is null")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Flaw(reason(error))


def _find_flaws(texts: list[str | Flaw], array: pa.Array, source: str) -> None:
    """Marks rows whose other columns no reader of the output could decode."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        bad: Sequence[int] = [row for row in range(len(array)) if not _is_valid(array.slice(row, 1))]
        for row in bad:
            texts[row] = Flaw(f"column {source!r} is not UTF-8")


def _is_valid(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
