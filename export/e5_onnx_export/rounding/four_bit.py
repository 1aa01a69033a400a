"""float32 weights to 4-bit integers in blocks, packed as onnxruntime's kernels read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.arrays import Floats
from e5_onnx_export.rounding.error_compensation import round_compensated

Integers = NDArray[np.uint8]

LEVELS = 15


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """The sixteen values that a block's weights can take: `(integer - zero_point) * scale`, for many blocks.

    Attributes:
        scales: float32 [...], positive.
        zero_points: uint8 [...], the integer that stands for 0.
    """

    scales: Floats
    zero_points: Integers

    def round(self, weights: Floats, *, beside: Integers | None = None) -> Integers:
        """The nearest integers, 0 .. 15, to one weight of each block, whatever stands beside it."""
        steps = np.rint(weights / self.scales) + self.zero_points
        return np.asarray(np.clip(steps, 0, LEVELS), np.uint8)

    def values(self, integers: Integers) -> Floats:
        """The value of one integer step in each block."""
        return np.asarray((integers.astype(np.float32) - self.zero_points) * self.scales)


def block_grid(blocks: Floats) -> BlockGrid:
    """The grid from the least to the largest of each block's weights, 0 among its values.

    Args:
        blocks: float32 [width, ...]: a block's weights lie along the first axis.
    """
    least, largest = np.minimum(blocks.min(axis=0), 0), np.maximum(blocks.max(axis=0), 0)
    # A block of zeros gets a scale too, so that nothing is divided by zero.
    scales = np.maximum((largest - least) / LEVELS, np.finfo(np.float32).tiny).astype(np.float32)
    return BlockGrid(scales, np.rint(-least / scales).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class FourBit:
    """A matrix in 4 bits, two integers a byte, the first in the low half.

    Attributes:
        integers: uint8 [rows, blocks, width / 2].
        scales: float32 [rows, blocks].
        zero_points: uint8 [rows, ceil(blocks / 2)].
    """

    integers: Integers
    scales: Floats
    zero_points: Integers


def round_to_nearest(rows: Floats, width: int) -> FourBit:
    """Rounds float32 [rows, H], each row in blocks of `width` consecutive weights; H is a multiple of it."""
    blocks = np.moveaxis(rows.reshape(len(rows), -1, width), -1, 0)
    grid = block_grid(blocks)
    return _pack(np.moveaxis(grid.round(blocks), 0, -1), grid)


def round_to_int4(weight: Floats, moment: Floats, width: int) -> FourBit:
    """Rounds a linear's weight so that its product on calibration inputs changes little.

    Args:
        weight: float32 [K, N]; K is a multiple of `width`.
        moment: float32 [K, K], the second moment of its inputs.
        width: Consecutive input channels that share a scale.

    Returns:
        The weight transposed: N rows of K / width blocks.
    """
    integers, grids = round_compensated(weight, moment, width, grid_of=block_grid)
    whole = BlockGrid(
        np.stack([grid.scales for grid in grids], axis=1),
        np.stack([grid.zero_points for grid in grids], axis=1),
    )
    return _pack(integers.T.reshape(weight.shape[1], -1, width), whole)


def unpack(packed: FourBit) -> Floats:
    """The weights that are left: float32 [rows, blocks * width]."""
    rows, blocks = packed.scales.shape
    integers = _singles(packed.integers)
    points = _singles(packed.zero_points)[:, :blocks, None]
    return ((integers - points) * packed.scales[..., None]).astype(np.float32).reshape(rows, -1)


def _pack(integers: Integers, grid: BlockGrid) -> FourBit:
    points = grid.zero_points
    if points.shape[1] % 2:
        points = np.pad(points, ((0, 0), (0, 1)))
    return FourBit(_pairs(integers), np.ascontiguousarray(grid.scales), _pairs(points))


def _pairs(integers: Integers) -> Integers:
    return np.ascontiguousarray(integers[..., 0::2] | (integers[..., 1::2] << 4))


def _singles(pairs: Integers) -> NDArray[np.int16]:
    halves = np.stack([pairs & LEVELS, pairs >> 4], axis=-1)
    return halves.reshape(*pairs.shape[:-1], -1).astype(np.int16)
