"""Second moments of a linear's inputs: what error-compensated rounding needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e5_onnx_export.arrays import Floats
from e5_onnx_export.graph.smoothing import Smoothing


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of inputs [T, K] about some point.

    Attributes:
        centre: float32 [K], the point.
        mean: float32 [K], of the inputs.
        product: float32 [K, K], the mean of (x - centre)(x - centre)'.
    """

    centre: Floats
    mean: Floats
    product: Floats

    def smoothed(self, smoothing: Smoothing | None) -> Floats:
        """The mean of yy' for the inputs as a smoothed linear sees them, y = (x - shift) / scale: [K, K]."""
        shift = smoothing.shift if smoothing is not None else np.float32(0)
        offset, moved = self.mean - self.centre, self.centre - shift
        product = self.product + np.outer(offset + moved, moved)
        product += np.outer(moved, offset)
        if smoothing is not None:
            product /= smoothing.scale
            product /= smoothing.scale[:, None]
        return product


class MomentCollector:
    """Gathers moments batch by batch, about the first batch's mean.

    About zero, channels that lie far from it would lose their spread to float32.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._centre: Floats | None = None
        self._sum: Floats | None = None
        self._product: Floats | None = None

    def add(self, rows: Floats) -> None:
        """Adds inputs float32 [T, K]."""
        if self._centre is None or self._sum is None or self._product is None:
            self._centre = rows.mean(axis=0)
            self._sum = np.zeros_like(self._centre)
            self._product = np.zeros((rows.shape[1],) * 2, np.float32)
        moved = rows - self._centre
        self._seen += len(rows)
        self._sum += moved.sum(axis=0)
        # A copy, or NumPy calls the routine for symmetric products and mirrors its half: 1.6 times slower.
        self._product += moved.T @ moved.copy()

    def moments(self) -> Moments:
        """Returns what was gathered so far; at least one input is required."""
        assert self._centre is not None  # noqa: S101 - for the type checker
        assert self._sum is not None  # noqa: S101
        assert self._product is not None  # noqa: S101
        seen = np.float32(self._seen)
        return Moments(self._centre, self._centre + self._sum / seen, self._product / seen)
