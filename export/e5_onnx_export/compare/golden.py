"""golden.npz: texts with their vectors, by which a folder can be tried on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.texts import SampleText

# Largest difference of an fp32 vector's element on another processor. Kernels for other instruction sets add
# in another order, which moves an element of a unit vector by some 1e-7 (so do torch and NumPy); a wrong
# weight, token or mask moves it by 1e-3 and more.
FP32_TOLERANCE: Final = 1e-5


def write(
    path: Path, texts: Sequence[SampleText], ids: Sequence[Ids], *, vectors: Floats, tolerance: float
) -> None:
    """Writes golden.npz; the same input gives the same bytes.

    The file holds `texts` and `roles` (unicode [n]), `ids` (int64, all texts one after another), `lengths`
    (int64 [n]), `vectors` (float32 [n, dimension]) and `tolerance` (float64 []: the largest difference of any
    element that `e5 verify` accepts). It opens with allow_pickle=False.

    Args:
        path: Ends in .npz.
        texts: n texts; none may end in NUL, which NumPy's unicode arrays do not keep.
        ids: One int64 array per text, template and special tokens included, before any cutting.
        vectors: float32 [n, dimension], as the folder's own graph gives them.
        tolerance: For this precision on other processors.

    Raises:
        ValueError: If the lengths differ or a text ends in NUL.
    """
    if not len(texts) == len(ids) == len(vectors):
        raise ValueError(f"{len(texts)} texts, {len(ids)} token lists and {len(vectors)} vectors")
    if any(sample.text.endswith("\0") for sample in texts):
        raise ValueError("a golden text ends in NUL, which would be lost")
    np.savez(
        path,
        texts=np.array([sample.text for sample in texts], np.str_),
        roles=np.array([sample.role for sample in texts], np.str_),
        ids=np.concatenate(ids).astype(np.int64),
        lengths=np.array([len(row) for row in ids], np.int64),
        vectors=vectors.astype(np.float32),
        tolerance=np.array(tolerance, np.float64),
    )
