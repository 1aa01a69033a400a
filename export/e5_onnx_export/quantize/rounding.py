"""float32 weights to integers and scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
WeightBits = Literal[7, 8]

LARGEST: Final[dict[WeightBits, int]] = {8: 127, 7: 64}


@dataclass(frozen=True, slots=True)
class Rounded:
    """Integers and the scales that give the weights back: `values * scales`.

    Attributes:
        values: int8, of the weights' shape.
        scales: float32, one a column or one a row.
    """

    values: NDArray[np.int8]
    scales: Floats


def round_columns(weight: Floats, bits: WeightBits) -> Rounded:
    """Rounds [K, N] symmetrically with a scale for each of the N columns.

    Seven bits (-64 to 64) are for CPUs without VNNI: their u8 x s8 kernel adds two products in 16 bits, and
    255 * 64 * 2 fits where 255 * 127 * 2 saturates (docs/int8.md).
    """
    largest = LARGEST[bits]
    scales = _scales(np.abs(weight).max(axis=0), largest)
    return Rounded(np.rint(weight / scales).astype(np.int8), scales)


def round_rows(weight: Floats) -> Rounded:
    """Rounds [rows, H] symmetrically to -127 .. 127 with a scale for each row."""
    scales = _scales(np.abs(weight).max(axis=1), 127)
    return Rounded(np.rint(weight / scales[:, None]).astype(np.int8), scales)


def _scales(largest_value: Floats, largest_integer: int) -> Floats:
    # A row of zeros gets a scale too, so that nothing is divided by zero.
    return np.maximum(largest_value / largest_integer, np.finfo(np.float32).tiny).astype(np.float32)
