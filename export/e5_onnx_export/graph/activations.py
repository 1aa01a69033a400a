"""How a linear's input becomes uint8: by a scale that is known before, or by one for each token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import onnx_ir as ir

from e5_onnx_export.arrays import Floats
from e5_onnx_export.graph.builder import GraphBuilder

# Larger than any row: then QuantizeLinear has one block, and so one scale, a row.
_WHOLE_ROW: Final = 1 << 20
# Below this a row counts as zero; the scale must not be zero or denormal.
_TINY: Final = 1e-30
# GELU is never below it: its minimum is -0.16997.
GELU_LOWEST: Final = -0.17


@dataclass(frozen=True, slots=True)
class Int8Weight:
    """A rounded linear in the graph.

    Attributes:
        name: The name of the linear layer.
        values: int8 [K, N].
        scales: float32 [N].
        bias: float32 [N].
    """

    name: str
    values: ir.Value
    scales: ir.Value
    bias: Floats


class Activations(Protocol):
    """A way to turn rows into uint8 that gives a row the same integers in every batch."""

    @property
    def zero_point(self) -> int:
        """The integer that stands for 0."""

    @property
    def static_scale(self) -> float | None:
        """The step between two integers if it is the same for every token of every text, or None."""

    def multiply(self, graph: GraphBuilder, x: ir.Value, weight: Int8Weight) -> ir.Value:
        """Multiplies float32 [T, K] by a weight and adds its bias: float32 [T, N]."""

    def round_trip(self, x: Floats) -> Floats:
        """Returns the values that the rounded rows represent, in NumPy: float32 [T, K]."""


@dataclass(frozen=True, slots=True)
class StaticScale:
    """One scale for every token of every text.

    Attributes:
        static_scale: The step between two integers.
        zero_point: The integer that stands for 0.
    """

    static_scale: float
    zero_point: int

    def multiply(self, graph: GraphBuilder, x: ir.Value, weight: Int8Weight) -> ir.Value:
        """Multiplies float32 [T, K] by a weight and adds its bias: float32 [T, N].

        The kernel multiplies by the scale and adds the bias while it writes its result.
        """
        scale = graph.constant(f"{weight.name}.input_scale", np.array(self.static_scale, np.float32))
        point = graph.scalar(self.zero_point, np.uint8)
        bias = graph.constant(f"{weight.name}.bias", weight.bias)
        q = graph.op("QuantizeLinear", [x, scale, point])
        return graph.contrib(
            "MatMulIntegerToFloat", [q, weight.values, scale, weight.scales, point, None, bias]
        )

    def round_trip(self, x: Floats) -> Floats:
        """Returns the values that the rounded rows represent, in NumPy: float32 [T, K]."""
        scale = np.float32(self.static_scale)
        rounded = np.clip(np.rint(x / scale), -self.zero_point, 255 - self.zero_point)
        return np.asarray(rounded * scale, np.float32)


@dataclass(frozen=True, slots=True)
class TokenScale:
    """A scale for each token, from its own largest value.

    Attributes:
        zero_point: The integer that stands for 0.
        lowest: The least value activations can have, or None where they are symmetric.
    """

    zero_point: int
    lowest: float | None = None
    static_scale: None = field(default=None, init=False)

    def multiply(self, graph: GraphBuilder, x: ir.Value, weight: Int8Weight) -> ir.Value:
        """Multiplies float32 [T, K] by a weight and adds its bias: float32 [T, N].

        The kernel would take a scale a row, but multiplies by it on one thread; and with a bias it would be
        wrong, because it adds that first (docs/int8.md). So it gets 1, and both come after it.
        """
        scale = self._scale(graph, x)
        zeros = graph.op(
            "ConstantOfShape",
            [graph.op("Shape", [scale])],
            {"value": ir.tensor(np.array([self.zero_point], np.uint8))},
        )
        q = graph.op("QuantizeLinear", [x, scale, zeros], {"axis": -1, "block_size": _WHOLE_ROW})
        point = graph.scalar(self.zero_point, np.uint8)
        product = graph.contrib(
            "MatMulIntegerToFloat", [q, weight.values, graph.scalar(1.0), weight.scales, point]
        )
        # Not 1-D: onnxruntime would make a slow BiasGelu of such an addition before GELU.
        bias = graph.constant(f"{weight.name}.bias", weight.bias[None])
        return graph.op("Add", [graph.op("Mul", [product, scale]), bias])

    def round_trip(self, x: Floats) -> Floats:
        """Returns the values that the rounded rows represent, in NumPy: float32 [T, K]."""
        largest = (x if self.lowest is not None else np.abs(x)).max(axis=1, keepdims=True)
        scale = np.maximum(largest / (255 - self.zero_point), self._floor()).astype(np.float32)
        rounded = np.clip(np.rint(x / scale), -self.zero_point, 255 - self.zero_point)
        return np.asarray(rounded * scale, np.float32)

    def _scale(self, graph: GraphBuilder, x: ir.Value) -> ir.Value:
        """The scale of each row: float32 [T, K] to [T, 1]."""
        largest = x if self.lowest is not None else graph.op("Abs", [x])
        largest = graph.op("ReduceMax", [largest, graph.indices(-1)], {"keepdims": 1})
        scaled = graph.op("Mul", [largest, graph.scalar(1.0 / (255 - self.zero_point))])
        return graph.op("Max", [scaled, graph.scalar(self._floor())])

    def _floor(self) -> float:
        return _TINY if self.lowest is None else -self.lowest / self.zero_point


SYMMETRIC: Final = TokenScale(128)
# Few steps below zero are enough for what GELU gives, and more are left above. How few depends on how far up
# a layer's activations go.
GELU_SCALES: Final = tuple(TokenScale(point, GELU_LOWEST) for point in (16, 24, 32, 48, 64))
