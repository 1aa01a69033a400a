"""float32 weights to 8-bit or 7-bit integers and scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.arrays import Floats
from e5_onnx_export.rounding.error_compensation import round_compensated

WeightBits = Literal[7, 8]

LARGEST: Final[dict[WeightBits, int]] = {8: 127, 7: 64}
# x86 kernels without VNNI add the products of two neighbouring input channels, the even one first, in 16
# bits: two weights of one sign that sum up to no more than this cannot saturate them, 255 * 128 < 2 ** 15.
PAIR_LIMIT: Final = 128
# Channels that are handled at once: it changes the time that rounding takes and nothing else.
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Rounded:
    """Integers and the scales that give the weights back: `values * scales`.

    Attributes:
        values: int8, of the weights' shape.
        scales: float32, one a column or one a row.
    """

    values: NDArray[np.int8]
    scales: Floats


@dataclass(frozen=True, slots=True)
class ColumnGrid:
    """The values that each column's weights can take: whole multiples of its scale.

    Attributes:
        scales: float32 [N], positive.
        largest: The largest integer.
    """

    scales: Floats
    largest: int

    def round(self, weights: Floats, *, beside: NDArray[np.int8] | None = None) -> NDArray[np.int8]:
        """The nearest integers to weights float32 [..., N]; see `Grid.round`."""
        lowest, highest = np.int16(-self.largest), np.int16(self.largest)
        if beside is not None:
            other = beside.astype(np.int16)
            lowest = np.maximum(lowest, -PAIR_LIMIT - np.minimum(other, 0))
            highest = np.minimum(highest, PAIR_LIMIT - np.maximum(other, 0))
        return np.asarray(np.clip(np.rint(weights / self.scales), lowest, highest), np.int8)

    def values(self, integers: NDArray[np.int8]) -> Floats:
        """Returns the values that integers [..., N] represent."""
        return np.asarray(integers * self.scales)


def column_grid(weight: Floats, bits: WeightBits) -> ColumnGrid:
    """The grid on which each column of [K, N] has its largest weight, or its largest pair, at its end."""
    largest = LARGEST[bits]
    # One less than the limit: rounding to the nearest can add half a step to either of a pair.
    spans = np.maximum(np.abs(weight).max(axis=0) / largest, largest_pair_sum(weight) / (PAIR_LIMIT - 1))
    return ColumnGrid(_scales(spans, 1), largest)


def largest_pair_sum(weight: NDArray[Any]) -> NDArray[Any]:
    """The largest sum of two weights of one sign that a kernel may add in 16 bits, by column of [K, N]."""
    even = len(weight) // 2 * 2
    pairs = weight[:even].reshape(-1, 2, weight.shape[1])
    if pairs.dtype == np.int8:
        pairs = pairs.astype(np.int16)
    sums = [np.maximum(signed, 0).sum(axis=1).max(axis=0, initial=0) for signed in (pairs, -pairs)]
    return np.asarray(np.maximum(*sums))


def round_columns(weight: Floats, bits: WeightBits) -> Rounded:
    """Rounds [K, N] symmetrically to the nearest, with a scale for each of the N columns."""
    grid = column_grid(weight, bits)
    return Rounded(grid.round(weight), grid.scales)


def round_to_int8(weight: Floats, moment: Floats, bits: WeightBits) -> Rounded:
    """Rounds [K, N] with a scale a column so that products with inputs like calibration's change little.

    Args:
        weight: float32 [K, N].
        moment: float32 [K, K], the second moment of the inputs.
        bits: Number of bits of each weight.
    """
    grid = column_grid(weight, bits)
    values, _ = round_compensated(weight, moment, _AT_ONCE, grid_of=lambda _block: grid)
    return Rounded(values, grid.scales)


def round_rows(weight: Floats) -> Rounded:
    """Rounds [rows, H] symmetrically to -127 .. 127 with a scale for each row."""
    scales = _scales(np.abs(weight).max(axis=1), 127)
    return Rounded(np.rint(weight / scales[:, None]).astype(np.int8), scales)


def _scales(largest_value: Floats, largest_integer: int) -> Floats:
    # A row of zeros gets a scale too, so that nothing is divided by zero.
    return np.maximum(largest_value / largest_integer, np.finfo(np.float32).tiny).astype(np.float32)
