"""Embeds a chunk of texts into a table of vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from e5_onnx.bulk.chunks import Chunk, Reject, shown_id
from e5_onnx.bulk.plan import Shard
from e5_onnx.bulk.vectors import vector_arrays
from e5_onnx.bulk_job import Job
from e5_onnx.embedder import Embedder
from e5_onnx.recipes import Role
from e5_onnx.tokens.tokenization import OverflowPolicy


@dataclass(frozen=True, slots=True)
class EmbeddedChunk:
    """The result of a chunk.

    Attributes:
        shard: The shard that it belongs to.
        first: The number of its first row in the whole input.
        rows: The number of rows of the input.
        table: The rows of the output.
        rejects: The bad rows, in order.
        tokens: The number of tokens of the texts, before any cutting.
        truncated: The number of texts that were cut.
    """

    shard: Shard
    first: int
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
        job: The bulk run to do.
        role: The role of all texts.
        schema: The columns of the output.
        keeps_bad_rows: Whether a bad row is a row without a vector, or is left out.
    """

    model: Embedder
    job: Job
    role: Role
    schema: pa.Schema
    keeps_bad_rows: bool

    def __call__(self, chunk: Chunk) -> EmbeddedChunk:
        """Embeds a chunk.

        Raises:
            RowError: For a text that is too long, under `error` and `stop`.
            E5Error: Whatever else the model raises.
        """
        if self.job.overflow == "error":
            chunk = self._without_long(chunk)
        good = [index for index, text in enumerate(chunk.texts) if text is not None]
        texts = [text for text in chunk.texts if text is not None]
        encoded = self.model.encode(texts, role=self.role, task=self.job.task, overflow=self._overflow)
        arrays, columns = vector_arrays(self.job.vectors, encoded.vectors), chunk.columns
        if self.keeps_bad_rows:
            vector_of = dict(zip(good, range(len(good)), strict=True))
            places = pa.array(map(vector_of.get, range(len(chunk.texts))), pa.int64())
            arrays = [array.take(places) for array in arrays]
        else:
            columns = columns.take(pa.array(good, pa.int64()))
        return EmbeddedChunk(
            shard=chunk.shard,
            first=chunk.first,
            rows=len(chunk.texts),
            table=pa.Table.from_arrays([*columns.columns, *arrays], schema=self.schema),
            rejects=chunk.rejects,
            tokens=int(encoded.tokens.sum()),
            truncated=int(encoded.truncated.sum()),
        )

    @property
    def _overflow(self) -> OverflowPolicy:
        # Cut texts are counted and reported once, at the end; those that must not be cut are bad rows.
        return "window" if self.job.overflow == "window" else "truncate"

    def _without_long(self, chunk: Chunk) -> Chunk:
        """Counts tokens first: an error would name one text, and all are wanted."""
        texts, rejects = list(chunk.texts), list(chunk.rejects)
        good = [row for row, text in enumerate(texts) if text is not None]
        known = [text for text in texts if text is not None]
        tokens = self.model.count_tokens(known, role=self.role, task=self.job.task)
        limit = self.model.max_tokens
        for found in np.flatnonzero(tokens > limit):
            row, reason = good[found], f"it has {tokens[found]} tokens, the model takes {limit}"
            reject = Reject(chunk.places[row], shown_id(chunk.columns, row), reason)
            if self.job.on_bad_row == "stop":
                raise reject.to_error()
            texts[row] = None
            rejects.append(reject)
        rejects.sort(key=lambda reject: reject.place.number)
        return replace(chunk, texts=texts, rejects=rejects)
