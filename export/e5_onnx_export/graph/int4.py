"""Linears and the token embedding matrix in 4 bits, for boxes where every megabyte counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import Weights
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.tables import WORD_TABLE, row_chunks
from e5_onnx_export.graph.tensors import Affine
from e5_onnx_export.rounding.four_bit import FourBit, round_to_nearest

# Input channels of a linear that share a scale; narrower is nearer, and more scales.
LINEAR_BLOCK: Final = 32
# Weights of a word's row that share one; 32 would take a tenth more and bring 3e-4 of cosine (docs/int4.md).
TABLE_BLOCK: Final = 64
_NARROWEST: Final = 16
_INT8_ACTIVATIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Int4Linear:
    """4-bit weights in blocks; the kernel rounds activations to int8 in the same blocks, a row at a time.

    Attributes:
        weight: The rounded weight, transposed.
    """

    weight: FourBit

    def author(self, graph: GraphBuilder, x: ir.Value, affine: Affine, *, name: str) -> ir.Value:
        """Multiplies float32 [T, K] by the rounded weight and adds the bias: float32 [T, N]."""
        channels, columns = affine.weight.shape
        integers, scales = self.weight.integers, self.weight.scales
        parts = [
            graph.weight(name, [integers], shape=integers.shape, dtype=integers.dtype),
            graph.constant(f"{name}.scales", scales),
            graph.constant(f"{name}.zero_points", self.weight.zero_points),
            None,
            graph.constant(f"{name}.bias", affine.bias),
        ]
        shape = {"K": channels, "N": columns, "bits": 4, "block_size": LINEAR_BLOCK}
        return graph.contrib("MatMulNBits", [x, *parts], {**shape, "accuracy_level": _INT8_ACTIVATIONS})


@dataclass(frozen=True, slots=True)
class Int4Table:
    """The token embedding matrix in 4-bit blocks along each row."""

    def author(self, graph: GraphBuilder, tokens: ir.Value, weights: Weights) -> ir.Value:
        """Looks up int64 [T] and returns float32 [T, H]."""
        rows, width = weights.shape(WORD_TABLE)
        block = table_block(width)
        scales: list[Floats] = []
        points: list[NDArray[np.uint8]] = []

        def integers() -> Iterator[NDArray[np.uint8]]:
            for chunk in row_chunks(weights, WORD_TABLE):
                rounded = round_to_nearest(chunk, block)
                scales.append(rounded.scales)
                points.append(rounded.zero_points)
                yield rounded.integers

        table = graph.weight(WORD_TABLE, integers(), shape=(rows, width // 2), dtype=np.dtype(np.uint8))
        scale = graph.constant(f"{WORD_TABLE}.scales", np.concatenate(scales))
        point = graph.constant(f"{WORD_TABLE}.zero_points", np.concatenate(points))
        return graph.contrib(
            "GatherBlockQuantized",
            [table, tokens, scale, point],
            {"bits": 4, "block_size": block, "gather_axis": 0, "quantize_axis": 1},
        )


def table_block(width: int) -> int:
    """The widest block up to TABLE_BLOCK that divides a row of `width` weights; 0 where none does."""
    block = TABLE_BLOCK
    while width % block:
        block //= 2
    return block if block >= _NARROWEST else 0
