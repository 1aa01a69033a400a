"""Scores, on a scale of 0 to 100."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError

Floats = NDArray[np.float32]


def cosines(left: Floats, right: Floats) -> NDArray[np.float64]:
    """Cosine of each pair of rows; float32 [n, dimension] twice to float64 [n]."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / lengths)


def spearman(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Spearman's rank correlation x 100, as mteb's STS tasks report it; equal values share a rank.

    Args:
        found: What the model says, float64 [n].
        truth: What people say, float64 [n].

    Returns:
        -100 to 100; NaN if all values of either are the same.

    Raises:
        MissingExtraError: If scipy is not installed.
    """
    require_scipy()
    from scipy.stats import spearmanr

    return float(spearmanr(found, truth).statistic) * 100


def require_scipy() -> None:
    """Asks for scipy before minutes of work, and not after.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import scipy.stats  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("perf", "scipy") from error
