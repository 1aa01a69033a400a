"""How the weights of a linear layer are stored and multiplied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from e5_onnx_export.graph.builder import GraphBuilder


class LinearFormat(Protocol):
    """A way to store and multiply a weight matrix. The bias is the consumer's business."""

    def author(self, graph: GraphBuilder, x: ir.Value, weight: NDArray[np.float32], *, name: str) -> ir.Value:
        """Multiplies float32 [T, K] by `weight` [K, N] and returns float32 [T, N]."""


@dataclass(frozen=True, slots=True)
class FloatLinear:
    """float32 weights, float32 product."""

    def author(self, graph: GraphBuilder, x: ir.Value, weight: NDArray[np.float32], *, name: str) -> ir.Value:
        """Multiplies float32 [T, K] by `weight` [K, N] and returns float32 [T, N]."""
        return graph.op("MatMul", [x, graph.weight(name, [weight], shape=weight.shape, dtype=weight.dtype)])
