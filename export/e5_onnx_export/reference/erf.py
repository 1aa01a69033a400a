"""The error function for NumPy arrays, in float64, without SciPy."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.arrays import Doubles

# From 6 on, 1 - erf is below 2.2e-17 and float64 has only 1.0 left for it.
_LAST_NODE: Final = 6.0
_NODES_PER_UNIT: Final = 64
_DEGREE: Final = 5


def _taylor_coefficients() -> Doubles:
    """Row n holds erf's n-th derivative over n! at every node."""
    nodes = np.arange(int(_LAST_NODE * _NODES_PER_UNIT) + 1) / _NODES_PER_UNIT
    slope = 2 / math.sqrt(math.pi) * np.exp(-(nodes**2))
    # Physicists' Hermite polynomials: H_(n+1) = 2 a H_n - 2 n H_(n-1).
    hermite, previous = np.ones_like(nodes), np.zeros_like(nodes)
    rows = [np.array([math.erf(node) for node in nodes])]
    for order in range(_DEGREE):
        rows.append((-1) ** order * hermite * slope / math.factorial(order + 1))
        hermite, previous = 2 * nodes * hermite - 2 * order * previous, hermite
    return np.stack(rows)


_COEFFICIENTS: Final = _taylor_coefficients()


def erf(values: NDArray[np.floating]) -> Doubles:
    """Returns the error function of each element.

    Taylor's series of degree 5 about the nearest of 385 nodes, 1/64 apart, where `math.erf` gave the value.
    The derivatives are Hermite polynomials times the Gaussian (Abramowitz and Stegun, 7.1.19). No element is
    further than 1/128 from its node, so what the series leaves out is at most
    2/sqrt(pi) * max|H_5(a) exp(-a^2)| / 6! * (1/128)^6 < 2e-14.

    Args:
        values: Any shape; NaN stays NaN.

    Returns:
        float64, the same shape, within 1e-13 of the true value.
    """
    size = np.minimum(np.abs(values, dtype=np.float64), _LAST_NODE)
    finite = np.where(np.isnan(size), 0.0, size)
    node = np.rint(finite * _NODES_PER_UNIT).astype(np.intp)
    step = size - node / _NODES_PER_UNIT
    total: Doubles = _COEFFICIENTS[_DEGREE].take(node)
    for row in _COEFFICIENTS[_DEGREE - 1 :: -1]:
        total *= step
        total += row.take(node)
    np.copysign(total, values, out=total)
    return total
