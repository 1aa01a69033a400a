"""Error-compensated rounding (GPTQ): the weights not yet rounded compensate each rounding error.

GPTQ (arXiv 2210.17323): weights are rounded input channel by input channel, and what a rounding does to the
product, on inputs like those of calibration, the channels still to come are moved to undo. With the inputs'
second moment H = R'R, R upper triangular, the error of rounding W to Q is |R (W - Q)|, which from the last
channel to the first can be made small row by row (Babai's nearest plane; the same result as GPTQ's in
reverse, arXiv 2507.18553, without an inverse of H).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.arrays import Floats

# Added to the moment's diagonal, relative to its mean: calibration inputs need not span all channels.
_DAMPING: Final = 0.01


class Grid(Protocol):
    """The values that the weights of some channels can take, [N] of a channel at a time."""

    def round(self, weights: Floats, *, beside: NDArray[Any] | None = None) -> NDArray[Any]:
        """The nearest integers to weights float32 [N].

        Args:
            weights: The weights of one channel.
            beside: Integers [N] of the odd channel that follows, rounded already, if this one is even: some
                kernels add the products of such a pair in few bits.
        """

    def values(self, integers: NDArray[Any]) -> Floats:
        """Returns the values that integers [N] represent."""


AnyGrid = TypeVar("AnyGrid", bound=Grid)


def round_compensated(
    weight: Floats, moment: Floats, width: int, *, grid_of: Callable[[Floats], AnyGrid]
) -> tuple[NDArray[Any], list[AnyGrid]]:
    """Rounds the weight of a linear.

    Args:
        weight: float32 [K, N].
        moment: float32 [K, K], the second moment of its inputs.
        width: Channels that share a grid; the last may be fewer.
        grid_of: Their grid, from these channels' weights [width, N] as they are when their turn comes.

    Returns:
        Integers [K, N], and the grids in the order of the channels.
    """
    factor = _factor(moment)
    lost = np.zeros_like(weight)
    rounded: list[NDArray[Any]] = []
    grids: list[AnyGrid] = []
    for start in reversed(range(0, len(weight), width)):
        block = slice(start, min(start + width, len(weight)))
        wanted = weight[block] + factor[block, block.stop :] @ lost[block.stop :]
        grids.append(grid_of(wanted))
        for row in reversed(range(len(wanted))):
            channel = start + row
            inner = slice(channel + 1, block.stop)
            target = wanted[row] + factor[channel, inner] @ lost[inner]
            beside = rounded[-1] if rounded and channel % 2 == 0 else None
            integers = grids[-1].round(target, beside=beside)
            # The error is measured from the original weight, so it includes the earlier compensation.
            lost[channel] = weight[channel] - grids[-1].values(integers)
            rounded.append(integers)
    return np.stack(rounded[::-1]), grids[::-1]


def _factor(moment: Floats) -> Floats:
    """R, upper triangular, each row divided by its diagonal: how much of a later loss a channel takes on."""
    damped = moment.astype(np.float64)
    diagonal = np.diag_indices(len(damped))
    mean = damped[diagonal].mean()
    # A channel that is always zero says nothing about its weights: they are rounded as they are.
    damped[diagonal] += _DAMPING * mean if mean > 0 else 1.0
    factor = np.linalg.cholesky(damped).T
    factor /= factor[diagonal][:, None]
    return factor.astype(np.float32)
