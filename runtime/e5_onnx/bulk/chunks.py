"""Shards as chunks of texts, a few hundred at a time, the bad rows set aside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError, RowError
from e5_onnx.bulk.formats import open_rows
from e5_onnx.bulk.plan import Shard, Slice
from e5_onnx.bulk.rows import PIECE_ROWS, Flaw, RowReader, Rows
from e5_onnx.bulk.survey import Survey
from e5_onnx.bulk_job import ID, BadRowPolicy, Columns
from e5_onnx.streaming import CHUNK_TEXTS

# Where texts are books, fewer of them are enough.
_CHUNK_CHARACTERS: Final = 1 << 22

_NO_ID: Final = Flaw("its id is null")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands.

    Attributes:
        file: Its file.
        row: In the file, from 0.
        number: In the whole input, from 0.
    """

    file: str
    row: int
    number: int

    def after(self, rows: int) -> Place:
        """The place so many rows further down the file."""
        return Place(self.file, self.row + rows, self.number + rows)


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is no text.

    Attributes:
        place: Where it stands.
        id: Its id, if it has one that can be shown.
        reason: What is wrong with it.
    """

    place: Place
    id: Any
    reason: str

    def to_json(self) -> str:
        """A line of `rejects.jsonl`."""
        values = {"file": self.place.file, "row": self.place.row, "id": self.id, "reason": self.reason}
        return json.dumps(values, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts to be embedded together.

    Attributes:
        shard: That they belong to.
        rows: Rows of the input that were read for it.
        texts: Those that are some.
        places: Of each text.
        columns: Of each text, by their names in the output, `id` first.
        rejects: The other rows.
    """

    shard: Shard
    rows: int
    texts: list[str]
    places: list[Place]
    columns: pa.Table
    rejects: list[Reject]


def output_columns(beside: pa.Schema) -> pa.Schema:
    """The columns of the output without its vectors: rows have their number where they have no id."""
    if ID in beside.names:
        return beside
    return pa.schema([pa.field(ID, pa.int64()), *beside])


class ChunkReader:
    """Reads shards. Those of one file are best asked for in order: the file stays open between them."""

    def __init__(self, survey: Survey, columns: Columns, on_bad_row: BadRowPolicy) -> None:
        self._survey, self._columns, self._on_bad_row = survey, columns, on_bad_row
        self._schema = output_columns(survey.beside)
        self._file = -1
        self._reader: RowReader | None = None

    def chunks(self, shards: Iterable[Shard]) -> Iterator[Chunk]:
        """Yields the chunks of shards, at least one of each.

        Where they begin and end depends on nothing but the shard, so that a shard done again is the same.

        Raises:
            RowError: For a bad row, under `stop`.
            InputFileError: If a file is damaged or has become shorter.
            OSError: If a file cannot be read.
        """
        try:
            for shard in shards:
                yield from self._chunks(shard)
        finally:
            self.close()

    def close(self) -> None:
        """Lets go of the open file."""
        if self._reader is not None:
            self._reader.close()
        self._reader, self._file = None, -1

    def _chunks(self, shard: Shard) -> Iterator[Chunk]:
        open_chunk, chunks = _OpenChunk(shard, self._schema), 0
        row = shard.first
        for part in shard.slices:
            place = Place(str(self._survey.files[part.file]), part.first, row)
            row += part.rows
            for rows in self._rows(part):
                self._add(open_chunk, rows, place)
                place = place.after(len(rows))
                if open_chunk.is_full:
                    yield open_chunk.close()
                    open_chunk, chunks = _OpenChunk(shard, self._schema), chunks + 1
        if open_chunk.rows or not chunks:
            yield open_chunk.close()

    def _rows(self, part: Slice) -> Iterator[Rows]:
        reader = self._reader_at(part.file, part.first)
        left = part.rows
        while left:
            rows = reader.read(min(left, PIECE_ROWS))
            if not len(rows):
                name = str(self._survey.files[part.file])
                raise InputFileError(name, f"it ends before row {part.first + part.rows - 1}: it was changed")
            left -= len(rows)
            yield rows

    def _reader_at(self, file: int, row: int) -> RowReader:
        if self._reader is None or self._file != file or self._reader.position > row:
            self.close()
            self._reader = open_rows(self._survey.files[file], self._columns, self._survey.beside)
            self._file = file
        if self._reader.position < row:
            self._reader.skip(row - self._reader.position)
        return self._reader

    def _add(self, chunk: _OpenChunk, rows: Rows, first: Place) -> None:
        columns = pa.Table.from_batches([rows.columns])
        if ID not in columns.column_names:
            numbers = range(first.number, first.number + len(rows))
            columns = columns.add_column(0, self._schema.field(ID), [pa.array(numbers, pa.int64())])
        has_id = columns.column(ID).is_valid().to_pylist()
        good = []
        for index, text in enumerate(rows.texts):
            flaw = text if isinstance(text, Flaw) else None if has_id[index] else _NO_ID
            if flaw is None:
                good.append(index)
                continue
            place = first.after(index)
            if self._on_bad_row == "stop":
                raise RowError(place.file, place.row, flaw.reason)
            shown = shown_id(columns, index) if flaw.id is None else _shown(flaw.id)
            chunk.rejects.append(Reject(place, shown, flaw.reason))
        chunk.rows += len(rows)
        chunk.texts += [rows.texts[index] for index in good]
        chunk.places += [first.after(index) for index in good]
        chunk.tables.append(columns.take(pa.array(good, pa.int64())))


def shown_id(columns: pa.Table, row: int) -> Any:  # noqa: ANN401 - whatever JSON can show
    """The id of a row as JSON can show it; None where there is none, or a broken one."""
    try:
        found = columns.column(ID)[row].as_py()
    except UnicodeDecodeError:
        return None
    return _shown(found)


def _shown(found: object) -> Any:  # noqa: ANN401
    return found if isinstance(found, int | str | float | None) else str(found)


@dataclass(slots=True)
class _OpenChunk:
    shard: Shard
    schema: pa.Schema
    rows: int = 0
    texts: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.rows >= CHUNK_TEXTS or sum(map(len, self.texts)) >= _CHUNK_CHARACTERS

    def close(self) -> Chunk:
        columns = pa.concat_tables([self.schema.empty_table(), *self.tables])
        return Chunk(self.shard, self.rows, self.texts, self.places, columns, self.rejects)
