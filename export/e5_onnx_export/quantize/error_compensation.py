"""Rounding a matrix so that each weight's error is made good by the weights that are not rounded yet.

GPTQ (arXiv 2210.17323): weights are rounded input channel by input channel; what a rounding does to the
product on calibration inputs X is undone, as far as the later channels can, by moving these along the inverse
of the Hessian X'X. Blocks are handled in their order, each with the grid of its weights as they are by then.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.quantize.four_bit import FourBit, Grid, block_grid, pack

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Added to the Hessian's diagonal, relative to its mean: calibration inputs need not span all channels.
_DAMPING: Final = 0.02


def round_compensated(weight: Floats, inputs: Floats, width: int) -> FourBit:
    """Rounds the weight of a linear to 4 bits.

    Args:
        weight: float32 [K, N]; K is a multiple of `width`.
        inputs: float32 [T, K], what the linear is given.
        width: Consecutive input channels that share a scale.

    Returns:
        The weight transposed: N rows of K / width blocks.
    """
    factor = _inverse_factor(inputs)
    left = weight.astype(np.float64)
    grids, integers = [], []
    for start in range(0, len(weight), width):
        stop = start + width
        block, errors = left[start:stop], np.zeros((width, weight.shape[1]))
        grid = block_grid(np.ascontiguousarray(block.T[:, None, :], np.float32))
        for row in range(width):
            rounded, error = _round_channel(block[row], grid)
            integers.append(rounded)
            errors[row] = error / factor[start + row, start + row]
            block[row + 1 :] -= np.outer(factor[start + row, start + row + 1 : stop], errors[row])
        left[stop:] -= factor[start:stop, stop:].T @ errors
        grids.append(grid)
    whole = Grid(
        np.concatenate([grid.scales for grid in grids], axis=1),
        np.concatenate([grid.zero_points for grid in grids], axis=1),
    )
    return pack(np.stack(integers, axis=1).reshape(weight.shape[1], -1, width), whole)


def _round_channel(weights: Doubles, grid: Grid) -> tuple[NDArray[np.uint8], Doubles]:
    """The integers [N] of one input channel's weights [N], and what each weight lost by it."""
    integers = grid.round(weights[:, None].astype(np.float32))
    return integers[:, 0], weights - grid.values(integers)[:, 0]


def _inverse_factor(inputs: Floats) -> Doubles:
    """The upper Cholesky factor [K, K] of the Hessian's inverse."""
    # The product in float32, which is twice as fast, the inverse in float64, which needs it.
    hessian = (inputs.T @ inputs).astype(np.float64) / len(inputs)
    diagonal = np.diag_indices(len(hessian))
    mean = hessian[diagonal].mean()
    # A channel that is always zero says nothing about its weights: they are rounded as they are.
    hessian[diagonal] += _DAMPING * mean if mean > 0 else 1.0
    return np.linalg.cholesky(np.linalg.inv(hessian)).T
