"""Dense layers between the pooling and the unit vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from e5_onnx_export.checkpoint.base import Activation, Projection
from e5_onnx_export.graph.builder import GraphBuilder

OPERATORS: Final[dict[Activation, str | None]] = {"identity": None, "tanh": "Tanh"}


def author_projections(graph: GraphBuilder, vectors: ir.Value, projections: Sequence[Projection]) -> ir.Value:
    """Passes float32 [B, H] through each layer in turn, to float32 [B, dimension]."""
    for number, projection in enumerate(projections):
        name = f"projection.{number}"
        weight = np.ascontiguousarray(projection.weight.T)
        table = graph.weight(f"{name}.weight", [weight], shape=weight.shape, dtype=weight.dtype)
        bias = graph.constant(f"{name}.bias", projection.bias)
        vectors = graph.op("Add", [graph.op("MatMul", [vectors, table]), bias])
        operator = OPERATORS[projection.activation]
        if operator is not None:
            vectors = graph.op(operator, [vectors])
    return vectors
