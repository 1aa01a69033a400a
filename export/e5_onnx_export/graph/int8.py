"""Linears with int8 weights and one activation scale a token, so that no text can change its neighbour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from e5_onnx_export.checkpoint import Weights
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.tables import WORD_TABLE, row_chunks
from e5_onnx_export.quantize.rounding import Rounded, round_rows

# Larger than any row: then QuantizeLinear has one block, and so one scale, a row.
_WHOLE_ROW: Final = 1 << 20
# Below this a row counts as zero; the scale must not be zero or denormal.
_TINY: Final = 1e-30


@dataclass(frozen=True, slots=True)
class ActivationRange:
    """How a row of activations becomes uint8.

    Attributes:
        zero_point: The integer that stands for 0.
        lowest: The least value activations can have, or None where they are symmetric.
    """

    zero_point: int
    lowest: float | None = None

    def scale(self, graph: GraphBuilder, x: ir.Value) -> ir.Value:
        """The scale of each row: float32 [T, K] to [T, 1]."""
        largest = x if self.lowest is not None else graph.op("Abs", [x])
        largest = graph.op("ReduceMax", [largest, graph.indices(-1)], {"keepdims": 1})
        above = 255 - self.zero_point
        scaled = graph.op("Mul", [largest, graph.scalar(1.0 / above)])
        return graph.op("Max", [scaled, graph.scalar(self._floor())])

    def quantise(self, graph: GraphBuilder, x: ir.Value, scale: ir.Value) -> ir.Value:
        """Rounds float32 [T, K] to uint8 [T, K], each row by its scale."""
        point = ir.tensor(np.array([self.zero_point], np.uint8))
        zeros = graph.op("ConstantOfShape", [graph.op("Shape", [scale])], {"value": point})
        return graph.op("QuantizeLinear", [x, scale, zeros], {"axis": -1, "block_size": _WHOLE_ROW})

    def round_trip(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the rounded rows stand for, in NumPy: float32 [T, K]."""
        largest = (x if self.lowest is not None else np.abs(x)).max(axis=1, keepdims=True)
        scale = np.maximum(largest / (255 - self.zero_point), self._floor()).astype(np.float32)
        rounded = np.clip(np.rint(x / scale), -self.zero_point, 255 - self.zero_point)
        return np.asarray(rounded * scale, np.float32)

    def _floor(self) -> float:
        return _TINY if self.lowest is None else -self.lowest / self.zero_point


SYMMETRIC: Final = ActivationRange(zero_point=128)
# GELU is never below -0.17 (its minimum is -0.16997), so few steps below zero are enough and more are left
# above. How few depends on how far up a layer's activations go.
GELU_RANGES: Final = tuple(ActivationRange(zero_point, lowest=-0.17) for zero_point in (16, 24, 32, 48, 64))


@dataclass(frozen=True, slots=True)
class Int8Linear:
    """int8 weights with a scale a column; uint8 activations with a scale a token.

    Attributes:
        activations: How a row becomes uint8.
        rounded: The weight, rounded.
    """

    activations: ActivationRange
    rounded: Rounded

    def author(self, graph: GraphBuilder, x: ir.Value, weight: NDArray[np.float32], *, name: str) -> ir.Value:
        """Multiplies float32 [T, K] by the rounded weight, made from `weight` [K, N]: float32 [T, N]."""
        rounded, scale = self.rounded, self.activations.scale(graph, x)
        values = graph.weight(name, [rounded.values], shape=weight.shape, dtype=rounded.values.dtype)
        # The kernel takes a scale a row, [T, 1], though its documentation says scalar; without a bias,
        # because it would add that before the row scale (docs/int8.md). A test pins both.
        return graph.contrib(
            "MatMulIntegerToFloat",
            [
                self.activations.quantise(graph, x, scale),
                values,
                scale,
                graph.constant(f"{name}.scales", rounded.scales),
                graph.scalar(self.activations.zero_point, np.uint8),
            ],
        )


@dataclass(frozen=True, slots=True)
class Int8Table:
    """The word table in int8 with a scale a row; onnxruntime's own quantiser has one for the whole table."""

    def author(self, graph: GraphBuilder, tokens: ir.Value, weights: Weights) -> ir.Value:
        """Looks up int64 [T] and returns float32 [T, H]."""
        scales: list[NDArray[np.float32]] = []

        def values() -> Iterator[NDArray[np.int8]]:
            for rows in row_chunks(weights, WORD_TABLE):
                rounded = round_rows(rows)
                scales.append(rounded.scales)
                yield rounded.values

        shape = weights.shape(WORD_TABLE)
        table = graph.weight(WORD_TABLE, values(), shape=shape, dtype=np.dtype(np.int8))
        scale = graph.constant(f"{WORD_TABLE}.scales", np.concatenate(scales)[:, None])
        chosen = graph.op("Cast", [graph.op("Gather", [table, tokens])], {"to": ir.DataType.FLOAT})
        return graph.op("Mul", [chosen, graph.op("Gather", [scale, tokens])])
