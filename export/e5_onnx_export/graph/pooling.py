"""Hidden states to one vector a text, and vectors to length 1."""

from __future__ import annotations

import onnx_ir as ir

from e5_onnx.model_folder.manifest import Pooling
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.layout import Layout


def author_pooling(graph: GraphBuilder, hidden: ir.Value, layout: Layout, *, pooling: Pooling) -> ir.Value:
    """Pools float32 [T, H] to float32 [B, H]."""
    if pooling == "cls":
        return graph.op("Gather", [hidden, layout.starts])
    return _mean(graph, hidden, layout)


def author_unit_length(graph: GraphBuilder, vectors: ir.Value) -> ir.Value:
    """Divides each row of float32 [B, dimension] by its length."""
    length = graph.op("ReduceL2", [vectors, graph.indices(1)], {"keepdims": 1})
    return graph.op("Div", [vectors, graph.op("Max", [length, graph.scalar(1e-12)])])


def _mean(graph: GraphBuilder, hidden: ir.Value, layout: Layout) -> ir.Value:
    # A product with [B, 1, S] sums each text's tokens in their own order, so that neither neighbours nor
    # padding change a bit of the sum; one product with [B, T] would be cheaper to write and would.
    real = graph.op("Cast", [layout.real], {"to": ir.DataType.FLOAT})
    total = graph.op(
        "MatMul", [graph.op("Unsqueeze", [real, graph.indices(1)]), layout.unpack(graph, hidden)]
    )
    count = graph.op(
        "Cast", [graph.op("Unsqueeze", [layout.lengths, graph.indices(1)])], {"to": ir.DataType.FLOAT}
    )
    return graph.op("Div", [graph.op("Squeeze", [total, graph.indices(1)]), count])
