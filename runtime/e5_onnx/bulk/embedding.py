"""A chunk of texts to a table of vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from e5_onnx.bulk.chunks import Chunk, Reject, shown_id
from e5_onnx.bulk.errors import RowError
from e5_onnx.bulk.plan import Shard
from e5_onnx.bulk.vectors import vector_arrays
from e5_onnx.bulk_job import Job
from e5_onnx.embedder import Embedder
from e5_onnx.recipes import Role
from e5_onnx.tokenization import OverflowPolicy


@dataclass(frozen=True, slots=True)
class EmbeddedChunk:
    """What became of a chunk.

    Attributes:
        shard: That it belongs to.
        rows: Rows of the input that were read for it.
        table: The rows of the output.
        rejects: The other rows, in order.
        tokens: Of the texts, before any cutting.
        truncated: How many texts were cut.
    """

    shard: Shard
    rows: int
    table: pa.Table
    rejects: list[Reject]
    tokens: int
    truncated: int


@dataclass(frozen=True, slots=True)
class ChunkEmbedder:
    """Embeds chunks; may be called from many threads at once.

    Attributes:
        model: An open model with one thread, for each caller.
        job: What is asked for.
        role: Of all texts.
        schema: Of the output.
    """

    model: Embedder
    job: Job
    role: Role
    schema: pa.Schema

    def __call__(self, chunk: Chunk) -> EmbeddedChunk:
        """Embeds a chunk.

        Raises:
            RowError: For a text that is too long, under `error` and `stop`.
            E5Error: Whatever else the model raises.
        """
        if self.job.overflow == "error":
            chunk = self._without_long(chunk)
        encoded = self.model.encode(chunk.texts, role=self.role, task=self.job.task, overflow=self._overflow)
        arrays = vector_arrays(self.job.vectors, encoded.vectors)
        table = pa.Table.from_arrays([*chunk.columns.columns, *arrays], schema=self.schema)
        return EmbeddedChunk(
            shard=chunk.shard,
            rows=chunk.rows,
            table=table,
            rejects=chunk.rejects,
            tokens=int(encoded.tokens.sum()),
            truncated=int(encoded.truncated.sum()),
        )

    @property
    def _overflow(self) -> OverflowPolicy:
        # Cut texts are counted and told once, at the end; those that must not be are gone already.
        return "window" if self.job.overflow == "window" else "truncate"

    def _without_long(self, chunk: Chunk) -> Chunk:
        """Counts tokens first: an error would name one text, and all are wanted."""
        tokens = self.model.count_tokens(chunk.texts, role=self.role, task=self.job.task)
        limit = self.model.max_tokens
        rejects = []
        for index in np.flatnonzero(tokens > limit):
            place, reason = chunk.places[index], f"it has {tokens[index]} tokens, the model takes {limit}"
            if self.job.on_bad_row == "stop":
                raise RowError(place.file, place.row, reason)
            rejects.append(Reject(place, shown_id(chunk.columns, int(index)), reason))
        if not rejects:
            return chunk
        good = np.flatnonzero(tokens <= limit)
        return Chunk(
            shard=chunk.shard,
            rows=chunk.rows,
            texts=[chunk.texts[index] for index in good],
            places=[chunk.places[index] for index in good],
            columns=chunk.columns.take(pa.array(good)),
            rejects=sorted([*chunk.rejects, *rejects], key=lambda reject: reject.place.number),
        )
