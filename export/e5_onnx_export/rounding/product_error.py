"""How far a rounded linear's product is from the true one."""

from __future__ import annotations

import numpy as np

from e5_onnx_export.arrays import Floats


def relative_error(found: Floats, truth: Floats) -> float:
    """Root mean square difference of two products [T, N], relative to the true one's spread over tokens."""
    spread = np.square(truth - truth.mean(axis=0), dtype=np.float64).mean()
    return float(np.sqrt(np.square(found - truth, dtype=np.float64).mean() / max(spread, 1e-30)))
