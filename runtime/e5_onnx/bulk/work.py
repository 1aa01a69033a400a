"""What is needed to do any shard of a run, here or on another machine, and doing it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from threading import Event
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from e5_onnx.bulk.chunks import ChunkReader, Reject
from e5_onnx.bulk.embedding import ChunkEmbedder, EmbeddedChunk
from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.overlap import in_order
from e5_onnx.bulk.plan import Shard
from e5_onnx.bulk.settings import METADATA_PREFIX
from e5_onnx.bulk.survey import Survey
from e5_onnx.bulk_job import EMBEDDING, Job
from e5_onnx.embedder import Embedder
from e5_onnx.errors import E5Error
from e5_onnx.inference.batching import THREAD_PADDED_TOKENS
from e5_onnx.machine.atomic_file import atomic_file
from e5_onnx.recipes import Role

# Some thousand rows make a row group.
_CHUNKS_IN_GROUP: Final = 8


class FinishedRows(Protocol):
    """Rows that are done: those of a chunk, or of a shard."""

    @property
    def rows(self) -> int:
        """The number of rows of the input."""

    @property
    def tokens(self) -> int:
        """The number of tokens of the texts, before any cutting."""

    @property
    def truncated(self) -> int:
        """The number of texts that were cut."""


Tell = Callable[[FinishedRows], object]


@dataclass(frozen=True, slots=True)
class Work:
    """A run, planned.

    Attributes:
        job: The bulk run to do.
        role: The role of all texts.
        survey: The input.
        schema: The columns of the output, with metadata that say where the vectors come from.
        layout: The paths of the output.
    """

    job: Job
    role: Role
    survey: Survey
    schema: pa.Schema
    layout: OutputLayout

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model that the run was planned with."""
        metadata = self.schema.metadata or {}
        return str(metadata[f"{METADATA_PREFIX}fingerprint".encode()], "ascii")


@dataclass(frozen=True, slots=True)
class Pace:
    """When a part ends before its shard does.

    Attributes:
        seconds: After so many seconds.
        stop: When it is set: then the chunks that are computed are written, and no others.
        clock: Seconds.
    """

    seconds: float = math.inf
    stop: Event = field(default_factory=Event)
    clock: Callable[[], float] = time.monotonic


def open_bulk_model(job: Job) -> Embedder:
    """Opens a run's model for `do_shards`: one thread to a batch, and batches that stay in its cache.

    Raises:
        E5Error: A leaf of it.
    """
    return Embedder(job.model, threads=1, token_budget=THREAD_PADDED_TOKENS, tokenizer=job.tokenizer)


def do_shards(
    work: Work,
    model: Embedder,
    shards: Iterable[Shard],
    *,
    workers: int,
    tell: Tell = lambda _: None,
    pace: Pace | None = None,
) -> Iterator[Receipt]:
    """Embeds shards and writes their parts; a part is there whole when its receipt is yielded.

    Args:
        work: The run they belong to.
        model: Opened with `open_bulk_model`.
        shards: In order of their rows.
        workers: How many chunks are embedded at once.
        tell: Called with every chunk that is done.
        pace: When a part ends before its shard; None for never.

    Raises:
        E5Error: A leaf of it; all chunks before it are written.
        OSError: If something cannot be read or written.
    """
    pace = pace or Pace()
    reader = ChunkReader(work.survey, work.job.columns, work.job.on_bad_row)
    embedder = ChunkEmbedder(model, work.job, work.role, work.schema, work.layout.is_array)
    failures: list[E5Error] = []
    with closing(in_order(reader.chunks(shards), embedder, workers=workers, stop=pace.stop)) as done:
        for _, chunks in groupby(_until_failure(done, tell, failures), key=_PartNumber(pace)):
            yield _write(work, chunks)
    for failure in failures:
        raise failure


class _PartNumber:
    """Numbers the parts that chunks go to: another one for each shard, and after some seconds."""

    def __init__(self, pace: Pace) -> None:
        self._pace, self._shard, self._number, self._started = pace, -1, 0, pace.clock()

    def __call__(self, chunk: EmbeddedChunk) -> int:
        now = self._pace.clock()
        if chunk.shard.first != self._shard or now - self._started >= self._pace.seconds:
            self._shard, self._number, self._started = chunk.shard.first, self._number + 1, now
        return self._number


def _until_failure(
    chunks: Iterator[EmbeddedChunk], tell: Tell, failures: list[E5Error]
) -> Iterator[EmbeddedChunk]:
    """Yields the chunks before an error and notes the error, so that they are written first."""
    try:
        for chunk in chunks:
            tell(chunk)
            yield chunk
    except E5Error as error:
        failures.append(error)


def _write(work: Work, chunks: Iterator[EmbeddedChunk]) -> Receipt:
    layout, rejects = work.layout, list[Reject]()
    begin = next(chunks)
    chunks = chain([begin], chunks)
    rows = tokens = truncated = 0
    with (
        atomic_file(layout.part(begin.first), workplace=layout.partial) as file,
        closing(pq.ParquetWriter(file, work.schema, **parquet_options(work.schema))) as writer,
    ):
        while group := list(islice(chunks, _CHUNKS_IN_GROUP)):
            table = pa.concat_tables([chunk.table for chunk in group])
            writer.write_table(table, row_group_size=max(1, len(table)))
            for chunk in group:
                rejects += chunk.rejects
                rows += chunk.rows
                tokens += chunk.tokens
                truncated += chunk.truncated
    if rejects:
        with atomic_file(layout.rejects_of(begin.first), workplace=layout.partial) as file:
            # A lone surrogate, as an id may have, becomes the escape that JSON has for it.
            file.writelines(reject.to_json().encode(errors="backslashreplace") for reject in rejects)
    return Receipt(
        first=begin.first,
        rows=rows,
        written=rows - len(rejects),
        rejected=len(rejects),
        tokens=tokens,
        truncated=truncated,
        sha256=layout.sha256(begin.first, len(rejects)),
    )


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How parts are written: what repeats in a dictionary, what does not without one."""
    beside = [name for name in schema.names if name != EMBEDDING]
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": beside, "write_statistics": beside}
    if schema.field(EMBEDDING).type.value_type == pa.float32():
        # A seventh smaller, without loss: the bytes of exponents lie together.
        options["column_encoding"] = {f"{EMBEDDING}.list.element": "BYTE_STREAM_SPLIT"}
    return options
