"""Packed and padded: the list of real tokens [T, ...] that the linears work on, and the grid [B, S, ...]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from e5_onnx_export.graph.builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class Layout:
    """Index tensors, computed once from the attention mask and used by every layer.

    B texts, S columns, T real tokens. In the grid each text's tokens stand at its left, whatever the mask.

    Attributes:
        real: bool [B, S]: the grid cells that hold a token.
        lengths: int64 [B]: tokens of each text.
        starts: int64 [B]: each text's first token in the packed list.
        slots: int64 [T]: the grid cell of each packed token, counted row by row.
        cells: int64 [B, S]: the packed token of each grid cell; cells past a text's end repeat some token.
        columns: int64 scalar: S.
    """

    real: ir.Value
    lengths: ir.Value
    starts: ir.Value
    slots: ir.Value
    cells: ir.Value
    columns: ir.Value

    def unpack(self, graph: GraphBuilder, packed: ir.Value) -> ir.Value:
        """[T, W] to [B, S, W]."""
        return graph.op("Gather", [packed, self.cells], {"axis": 0})

    def pack(self, graph: GraphBuilder, grid: ir.Value, width: int) -> ir.Value:
        """[B, S, W] to [T, W]."""
        return graph.op(
            "Gather", [graph.op("Reshape", [grid, graph.indices(-1, width)]), self.slots], {"axis": 0}
        )


@dataclass(frozen=True, slots=True)
class TokenGrid:
    """The graph's inputs: `ids` and `mask`, int64 [B, S]."""

    ids: ir.Value
    mask: ir.Value

    def real(self, graph: GraphBuilder, grid: ir.Value) -> ir.Value:
        """The values of a grid int64 [B, S] at the real tokens: int64 [T]."""
        flat = graph.op("Reshape", [self.mask, graph.indices(-1)])
        return graph.op("Compress", [grid, graph.op("Cast", [flat], {"to": ir.DataType.BOOL})])


def author_layout(graph: GraphBuilder, mask: ir.Value) -> Layout:
    """Derives the layout from an attention mask, int64 [B, S] of 0 and 1."""
    columns = graph.op("Gather", [graph.op("Shape", [mask]), graph.scalar(1, np.int64)])
    column = graph.op("Range", [graph.scalar(0, np.int64), columns, graph.scalar(1, np.int64)])
    lengths = graph.op("ReduceSum", [mask, graph.indices(1)], {"keepdims": 0})
    starts = graph.op("CumSum", [lengths, graph.scalar(0, np.int64)], {"exclusive": 1})
    real = graph.op("Less", [column, graph.op("Unsqueeze", [lengths, graph.indices(1)])])
    slots = graph.op("NonZero", [graph.op("Reshape", [real, graph.indices(-1)])])
    slots = graph.op("Squeeze", [slots, graph.indices(0)])
    last = graph.op("Sub", [graph.op("Size", [slots]), graph.scalar(1, np.int64)])
    cells = graph.op("Add", [graph.op("Unsqueeze", [starts, graph.indices(1)]), column])
    return Layout(real, lengths, starts, slots, graph.op("Min", [cells, last]), columns)
