"""Rows out of Arrow record batches, whatever file they come from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats.byte_stream import named_damage
from e5_onnx.bulk.formats.headers import check_columns
from e5_onnx.bulk.rows import Flaw, Rows, table_of
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.records import reason
from e5_onnx.text_input.text_files import InputFile


def shape_types(file: InputFile, schema: pa.Schema, columns: Columns) -> dict[str, pa.DataType]:
    """Looks for the columns and returns the types, in the output, of those beside the text.

    Raises:
        InputFileError: If one is not there, or there twice, or the text's holds no texts.
    """
    paths = list(_paths(schema))
    check_columns(file, [name for name, _ in paths], columns)
    types = {name: plain_type(kind) for name, kind in paths}
    text = types[columns.text_column]
    if text not in (pa.string(), pa.binary(), pa.null()):
        raise InputFileError(str(file), f"column {columns.text_column!r} holds {text}, not texts")
    return {name: types[source] for name, source in columns.beside_text.items()}


def _paths(fields: Iterable[pa.Field], outer: str = "") -> Iterator[tuple[str, pa.DataType]]:
    """The columns, and those inside of structs by paths such as `meta.text`, with their types."""
    for entry in fields:
        yield outer + entry.name, entry.type
        if pa.types.is_struct(entry.type):
            yield from _paths(entry.type, f"{outer}{entry.name}.")


def _column(batch: pa.RecordBatch, path: str) -> pa.Array:
    outer = path if path in batch.schema.names else next(filter(path.startswith, batch.schema.names))
    inner = path[len(outer) + 1 :]
    return pc.struct_field(batch.column(outer), inner.split(".")) if inner else batch.column(outer)


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
        columns: The columns that are read.
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
        """Returns so many rows, and fewer only at the end."""
        texts: list[str | Flaw] = []
        tables = [self._beside.empty_table()]
        with named_damage(self._file):
            if self._source is None:
                self._source, self._batches = self._open_at(self.position)
            while len(texts) < rows and (batch := self._next()) is not None:
                wanted = rows - len(texts)
                self._rest = batch.slice(wanted) if len(batch) > wanted else None
                found = _rows(batch.slice(0, wanted), self._columns, self._beside)
                texts += found.texts
                tables.append(found.columns)
        self.position += len(texts)
        columns = pa.concat_tables(tables) if len(self._beside) else table_of([], self._beside, len(texts))
        return Rows(texts, columns)

    def close(self) -> None:
        """Closes the file."""
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
    texts: list[str | Flaw] = _texts(_column(batch, columns.text_column))
    arrays = []
    for entry, source in zip(beside, columns.beside_text.values(), strict=True):
        array = _column(batch, source).cast(entry.type)
        if bad := _invalid(array):
            array = pc.if_else(pa.array([row not in bad for row in range(len(array))]), array, None)
        for row in bad:
            texts[row] = Flaw(f"column {source!r} is not UTF-8")
        arrays.append(array)
    return Rows(texts, table_of(arrays, beside, len(batch)))


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


def _invalid(array: pa.Array) -> Collection[int]:
    """The rows that no reader of the output could decode."""
    if _is_valid(array):
        return ()
    return {row for row in range(len(array)) if not _is_valid(array.slice(row, 1))}


def _is_valid(array: pa.Array) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
