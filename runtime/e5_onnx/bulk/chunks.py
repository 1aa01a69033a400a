"""Shards as chunks of texts, a few hundred at a time, with the bad rows marked."""

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
from e5_onnx.inference.batching import CHUNK_CHARACTERS, CHUNK_TEXTS

_NO_ID: Final = Flaw("its id is null")
_NO_TEXT: Final = Flaw("the text is empty or blank")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a row.

    Attributes:
        file: Its file.
        row: Its number in the file, from 0.
        number: Its number in the whole input, from 0.
        line: The line of the file on which it begins, from 1; None for a file without lines.
    """

    file: str
    row: int
    number: int
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A bad row.

    Attributes:
        place: The place of the row.
        id: Its id, if it has one that can be shown.
        reason: The reason to reject it.
    """

    place: Place
    id: Any
    reason: str

    def to_json(self) -> str:
        """A line of `rejects.jsonl`."""
        line = {} if self.place.line is None else {"line": self.place.line}
        values = {
            "file": self.place.file,
            "row": self.place.row,
            **line,
            "id": self.id,
            "reason": self.reason,
        }
        return json.dumps(values, ensure_ascii=False) + "\n"

    def to_error(self) -> RowError:
        """The error for it, under `stop`."""
        return RowError(self.place.file, self.place.row, self.reason, line=self.place.line)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows whose texts are embedded together.

    Attributes:
        shard: The shard that they belong to.
        first: The number of the first row in the whole input.
        texts: The text of each row; None for a bad one.
        places: The place of each row.
        columns: A row for each, by their names in the output, `id` first.
        rejects: The bad rows, in order.
    """

    shard: Shard
    first: int
    texts: list[str | None]
    places: list[Place]
    columns: pa.Table
    rejects: list[Reject]


def output_columns(beside: pa.Schema) -> pa.Schema:
    """The columns of the output without its vectors: the id is the row's number where there is no other."""
    if ID in beside.names:
        return beside
    return pa.schema([pa.field(ID, pa.int64()), *beside])


class ChunkReader:
    """Reads shards. Those of one file are best read in order: the file stays open between them."""

    def __init__(self, survey: Survey, columns: Columns, on_bad_row: BadRowPolicy) -> None:
        self._survey, self._columns, self._on_bad_row = survey, columns, on_bad_row
        self._schema = output_columns(survey.beside)
        self._file = -1
        self._reader: RowReader | None = None

    def chunks(self, shards: Iterable[Shard]) -> Iterator[Chunk]:
        """Yields the chunks of shards, at least one of each.

        Where a chunk ends depends only on where it begins, so that a run that was stopped after any chunk
        continues with the same chunks, and so with the same vectors.

        Raises:
            RowError: For a bad row, under `stop`.
            InputFileError: If a file is damaged, has become shorter, or was changed.
            OSError: If a file cannot be read.
        """
        try:
            for shard in shards:
                for chunk in self._chunks(shard):
                    # After it was read: no chunk is of a file that changed before.
                    for part in shard.slices:
                        self._survey.require_unchanged(part.file)
                    yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Closes the open file."""
        if self._reader is not None:
            self._reader.close()
        self._reader, self._file = None, -1

    def _chunks(self, shard: Shard) -> Iterator[Chunk]:
        number = shard.first
        chunk = _OpenChunk(shard, number, self._schema)
        for part in shard.slices:
            row = part.first
            for rows in self._rows(part):
                self._add(chunk, rows, Place(str(self._survey.files[part.file]), row, number))
                row, number = row + len(rows), number + len(rows)
                if chunk.is_full:
                    yield chunk.close()
                    chunk = _OpenChunk(shard, number, self._schema)
        if chunk.texts or not shard.rows:
            yield chunk.close()

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
        columns = rows.columns
        if ID not in columns.column_names:
            numbers = range(first.number, first.number + len(rows))
            columns = columns.add_column(0, self._schema.field(ID), [pa.array(numbers, pa.int64())])
        has_id = columns.column(ID).is_valid().to_pylist()
        for index, text in enumerate(rows.texts):
            line = None if rows.lines is None else rows.lines[index]
            place = Place(first.file, first.row + index, first.number + index, line)
            flaw = _flaw(text, has_id=has_id[index])
            chunk.places.append(place)
            chunk.texts.append(None if flaw else str(text))
            if flaw is not None:
                shown = shown_id(columns, index) if flaw.id is None else _shown(flaw.id)
                reject = Reject(place, shown, flaw.reason)
                if self._on_bad_row == "stop":
                    raise reject.to_error()
                chunk.rejects.append(reject)
        chunk.tables.append(columns)


def _flaw(text: str | Flaw, *, has_id: bool) -> Flaw | None:
    if isinstance(text, Flaw):
        return text
    if not text or text.isspace():
        return _NO_TEXT
    return None if has_id else _NO_ID


def shown_id(columns: pa.Table, row: int) -> Any:  # noqa: ANN401 - whatever JSON can show
    """The id of a row as JSON can show it; None where there is none."""
    return _shown(columns.column(ID)[row].as_py())


def _shown(found: object) -> Any:  # noqa: ANN401
    return found if isinstance(found, int | str | float | None) else str(found)


@dataclass(slots=True)
class _OpenChunk:
    shard: Shard
    first: int
    schema: pa.Schema
    texts: list[str | None] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return len(self.texts) >= CHUNK_TEXTS or sum(map(len, filter(None, self.texts))) >= CHUNK_CHARACTERS

    def close(self) -> Chunk:
        columns = pa.concat_tables([self.schema.empty_table(), *self.tables])
        return Chunk(self.shard, self.first, self.texts, self.places, columns, self.rejects)
