"""Linears and the token embedding matrix in int8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import Weights
from e5_onnx_export.graph.activations import Activations, Int8Weight
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.tables import WORD_TABLE, row_chunks
from e5_onnx_export.graph.tensors import Affine
from e5_onnx_export.rounding.rounding import Rounded, round_rows


@dataclass(frozen=True, slots=True)
class Int8Linear:
    """int8 weights with a scale a column; uint8 activations.

    Attributes:
        activations: How a row becomes uint8.
        rounded: The weight, rounded.
    """

    activations: Activations
    rounded: Rounded

    def author(self, graph: GraphBuilder, x: ir.Value, affine: Affine, *, name: str) -> ir.Value:
        """Multiplies float32 [T, K] by the rounded weight and adds the bias: float32 [T, N]."""
        values, scales = self.rounded.values, self.rounded.scales
        weight = Int8Weight(
            name,
            graph.weight(name, [values], shape=values.shape, dtype=values.dtype),
            graph.constant(f"{name}.scales", scales),
            affine.bias,
        )
        return self.activations.multiply(graph, x, weight)


@dataclass(frozen=True, slots=True)
class Int8Table:
    """The token embedding matrix in int8, a scale for each row; onnxruntime's quantiser has one scale."""

    def author(self, graph: GraphBuilder, tokens: ir.Value, weights: Weights) -> ir.Value:
        """Looks up int64 [T] and returns float32 [T, H]."""
        scales: list[Floats] = []

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
