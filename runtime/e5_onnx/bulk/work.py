"""What has to be known to do any shard of a run, here or on another machine, and the doing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from e5_onnx.atomic_file import atomic_file
from e5_onnx.bulk.chunks import ChunkReader, Reject
from e5_onnx.bulk.embedding import ChunkEmbedder, EmbeddedChunk
from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.layout import Layout
from e5_onnx.bulk.overlap import in_order
from e5_onnx.bulk.plan import Shard
from e5_onnx.bulk.settings import METADATA_PREFIX
from e5_onnx.bulk.survey import Survey
from e5_onnx.bulk_job import EMBEDDING, Job
from e5_onnx.embedder import Embedder
from e5_onnx.engine import CALLERS_BUDGET
from e5_onnx.recipes import Role

# Some thousand rows make a row group.
_CHUNKS_IN_GROUP: Final = 8


class Done(Protocol):
    """Rows that were worked on: a chunk's, or a shard's."""

    @property
    def rows(self) -> int:
        """Of the input."""

    @property
    def tokens(self) -> int:
        """Of the texts, before any cutting."""

    @property
    def truncated(self) -> int:
        """Texts that were cut."""


Tell = Callable[[Done], object]


@dataclass(frozen=True, slots=True)
class Work:
    """A run, planned.

    Attributes:
        job: What is asked for.
        role: Of all texts.
        survey: The input.
        schema: Of the output; its metadata say where the vectors come from.
        layout: Where the output lies.
    """

    job: Job
    role: Role
    survey: Survey
    schema: pa.Schema
    layout: Layout

    @property
    def fingerprint(self) -> str:
        """Of the model that the run was planned with."""
        metadata = self.schema.metadata or {}
        return str(metadata[f"{METADATA_PREFIX}fingerprint".encode()], "ascii")


def open_model(job: Job) -> Embedder:
    """Opens a run's model for `do_shards`: one thread to a batch, and batches that stay in its cache.

    Raises:
        E5Error: A leaf of it.
    """
    return Embedder(job.model, threads=1, token_budget=CALLERS_BUDGET, tokenizer=job.tokenizer)


def do_shards(
    work: Work, model: Embedder, shards: Iterable[Shard], *, workers: int, tell: Tell = lambda _: None
) -> Iterator[Receipt]:
    """Does shards, each of which is there whole when its receipt is yielded.

    Args:
        work: The run they belong to.
        model: Opened with `open_model`.
        shards: In order of their rows.
        workers: How many chunks are worked on at once.
        tell: Called with every chunk that is done.

    Raises:
        E5Error: A leaf of it; shards before are done.
        OSError: If something cannot be read or written.
    """
    reader = ChunkReader(work.survey, work.job.columns, work.job.on_bad_row)
    embedder = ChunkEmbedder(model, work.job, work.role, work.schema)
    with closing(in_order(reader.chunks(shards), embedder, workers=workers)) as done:
        for shard, chunks in groupby(_telling(done, tell), key=attrgetter("shard")):
            yield _write(work, shard, chunks)


def _telling(chunks: Iterable[EmbeddedChunk], tell: Tell) -> Iterator[EmbeddedChunk]:
    for chunk in chunks:
        tell(chunk)
        yield chunk


def _write(work: Work, shard: Shard, chunks: Iterator[EmbeddedChunk]) -> Receipt:
    part, partial = work.layout.part(shard.index), work.layout.partial
    rejects: list[Reject] = []
    written = tokens = truncated = 0
    with (
        atomic_file(part, workplace=partial) as file,
        closing(pq.ParquetWriter(file, work.schema, **parquet_options(work.schema))) as writer,
    ):
        while group := list(islice(chunks, _CHUNKS_IN_GROUP)):
            table = pa.concat_tables([chunk.table for chunk in group])
            writer.write_table(table, row_group_size=max(1, len(table)))
            written += len(table)
            for chunk in group:
                rejects += chunk.rejects
                tokens += chunk.tokens
                truncated += chunk.truncated
    if rejects:
        with atomic_file(work.layout.rejects_of(shard.index), workplace=partial) as file:
            file.writelines(reject.to_json().encode() for reject in rejects)
    return Receipt(
        shard=shard.index,
        rows=shard.rows,
        written=written,
        rejected=len(rejects),
        tokens=tokens,
        truncated=truncated,
        bytes=part.stat().st_size,
    )


def parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """How parts are written: what repeats in a dictionary, what does not without one."""
    beside = [name for name in schema.names if name != EMBEDDING]
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": beside, "write_statistics": beside}
    if schema.field(EMBEDDING).type.value_type == pa.float32():
        # A seventh smaller, without loss: the bytes of exponents lie together.
        options["column_encoding"] = {f"{EMBEDDING}.list.element": "BYTE_STREAM_SPLIT"}
    return options
