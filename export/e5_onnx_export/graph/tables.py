"""The storage of the token embedding matrix: it is half of the parameters of a multilingual model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import onnx_ir as ir

from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import Weights
from e5_onnx_export.graph.builder import GraphBuilder

WORD_TABLE: Final = "embeddings.word_embeddings.weight"
_ROWS_AT_A_TIME: Final = 16384  # 64 MB of float32 at 1024 dimensions


class WordTable(Protocol):
    """A way to store the token embedding matrix."""

    def author(self, graph: GraphBuilder, tokens: ir.Value, weights: Weights) -> ir.Value:
        """Looks up int64 [T] and returns float32 [T, H]."""


@dataclass(frozen=True, slots=True)
class FloatTable:
    """float32 rows."""

    def author(self, graph: GraphBuilder, tokens: ir.Value, weights: Weights) -> ir.Value:
        """Looks up int64 [T] and returns float32 [T, H]."""
        table = graph.weight(
            WORD_TABLE,
            row_chunks(weights, WORD_TABLE),
            shape=weights.shape(WORD_TABLE),
            dtype=np.dtype(np.float32),
        )
        return graph.op("Gather", [table, tokens])


def row_chunks(weights: Weights, name: str) -> Iterator[Floats]:
    """Yields a table in pieces of a bounded number of rows."""
    rows = weights.shape(name)[0]
    for start in range(0, rows, _ROWS_AT_A_TIME):
        yield weights.read_rows(name, start, min(start + _ROWS_AT_A_TIME, rows))
