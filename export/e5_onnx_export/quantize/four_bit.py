"""float32 weights to 4-bit integers in blocks, packed as onnxruntime's kernels read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.uint8]

LEVELS = 15


@dataclass(frozen=True, slots=True)
class Grid:
    """The sixteen values that a block's weights can take: `(0 .. 15 - zero_points) * scales`.

    Attributes:
        scales: float32 [rows, blocks], positive.
        zero_points: uint8 [rows, blocks], the integer that stands for 0.
    """

    scales: Floats
    zero_points: Integers

    def round(self, weights: Floats) -> Integers:
        """Rounds one weight of each block, [rows, blocks]."""
        steps = np.rint(weights / self.scales) + self.zero_points
        return np.asarray(np.clip(steps, 0, LEVELS), np.uint8)

    def values(self, integers: Integers) -> Floats:
        """What integers [rows, blocks] stand for."""
        return np.asarray((integers.astype(np.float32) - self.zero_points) * self.scales)


def block_grid(blocks: Floats) -> Grid:
    """The grid from the least to the largest weight of each block, 0 among its values.

    Args:
        blocks: float32 [rows, blocks, width].
    """
    least, largest = np.minimum(blocks.min(axis=-1), 0), np.maximum(blocks.max(axis=-1), 0)
    # A block of zeros gets a scale too, so that nothing is divided by zero.
    scales = np.maximum((largest - least) / LEVELS, np.finfo(np.float32).tiny).astype(np.float32)
    return Grid(scales, np.rint(-least / scales).astype(np.uint8))


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


def pack(integers: Integers, grid: Grid) -> FourBit:
    """Packs integers uint8 [rows, blocks, width] of 0 .. 15."""
    points = grid.zero_points
    if points.shape[1] % 2:
        points = np.pad(points, ((0, 0), (0, 1)))
    return FourBit(_pairs(integers), grid.scales, _pairs(points))


def round_to_nearest(rows: Floats, width: int) -> FourBit:
    """Rounds float32 [rows, H], each row in blocks of `width` consecutive weights; H is a multiple of it."""
    blocks = rows.reshape(len(rows), -1, width)
    grid = block_grid(blocks)
    steps = np.rint(blocks / grid.scales[..., None]) + grid.zero_points[..., None]
    return pack(np.clip(steps, 0, LEVELS).astype(np.uint8), grid)


def unpack(packed: FourBit) -> Floats:
    """The weights that are left: float32 [rows, blocks * width]."""
    rows, blocks = packed.scales.shape
    integers = _singles(packed.integers)
    points = _singles(packed.zero_points)[:, :blocks, None]
    return ((integers - points) * packed.scales[..., None]).astype(np.float32).reshape(rows, -1)


def _singles(pairs: Integers) -> NDArray[np.int16]:
    halves = np.stack([pairs & LEVELS, pairs >> 4], axis=-1)
    return halves.reshape(*pairs.shape[:-1], -1).astype(np.int16)


def _pairs(integers: Integers) -> Integers:
    return np.ascontiguousarray(integers[..., 0::2] | (integers[..., 1::2] << 4))
