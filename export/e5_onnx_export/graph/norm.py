"""LayerNorm."""

from __future__ import annotations

import onnx_ir as ir

from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.tensors import Affine


def author_layer_norm(
    graph: GraphBuilder, x: ir.Value, affine: Affine, *, name: str, epsilon: float
) -> ir.Value:
    """LayerNorm over the last axis of float32 [T, H]; its constants are called after `name`."""
    gain = graph.constant(f"{name}.weight", affine.weight)
    bias = graph.constant(f"{name}.bias", affine.bias)
    return graph.op("LayerNormalization", [x, gain, bias], {"axis": -1, "epsilon": epsilon})
