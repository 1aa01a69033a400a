"""How the weights of a linear layer are stored and multiplied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.tensors import Affine


class LinearFormat(Protocol):
    """A way to store and multiply a weight matrix."""

    def author(self, graph: GraphBuilder, x: ir.Value, affine: Affine, *, name: str) -> ir.Value:
        """Multiplies float32 [T, K] by a weight [K, N] and adds a bias [N]: float32 [T, N]."""


@dataclass(frozen=True, slots=True)
class FloatLinear:
    """float32 weights, float32 product."""

    def author(self, graph: GraphBuilder, x: ir.Value, affine: Affine, *, name: str) -> ir.Value:
        """Multiplies float32 [T, K] by a weight [K, N] and adds a bias [N]: float32 [T, N]."""
        weight = graph.weight(name, [affine.weight], shape=affine.weight.shape, dtype=affine.weight.dtype)
        product = graph.op("MatMul", [x, weight])
        return graph.op("Add", [product, graph.constant(f"{name}.bias", affine.bias)])
