"""Scores, on a scale of 0 to 100."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx_export.arrays import Doubles, Floats

Places = NDArray[np.int64]

_CUTOFF: Final = 10
_ROWS_AT_ONCE: Final = 1024


def cosines(left: Floats, right: Floats) -> Doubles:
    """Cosine of each pair of rows; float32 [n, dimension] twice to float64 [n]."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / lengths)


def spearman(found: Doubles, truth: Doubles) -> float:
    """Spearman's rank correlation x 100, as mteb's STS tasks report it; equal values share a rank.

    Args:
        found: The model's scores, float64 [n].
        truth: People's scores, float64 [n].

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


def nearest(queries: Floats, candidates: Floats) -> Places:
    """The number of each query's nearest candidate by cosine, the first of equals.

    Args:
        queries: float32 [n, dimension], of length 1.
        candidates: float32 [m, dimension], of length 1.

    Returns:
        int64 [n].
    """
    blocks = range(0, len(queries), _ROWS_AT_ONCE)
    found = [(queries[start : start + _ROWS_AT_ONCE] @ candidates.T).argmax(axis=1) for start in blocks]
    return np.concatenate(found).astype(np.int64)


def accuracy_items(found: Places) -> Doubles:
    """100 for each query i whose nearest candidate is candidate i, else 0; int64 [n] to float64 [n]."""
    return np.where(found == np.arange(len(found)), 100.0, 0.0)


def f1_items(found: Places) -> Doubles:
    """Each query's part of F1, whose mean mteb reports for Tatoeba and BUCC: int64 [n] to float64 [n].

    mteb takes the support-weighted F1 of the classes 0 to n - 1, each of which is right once. A class that
    was found has recall 1 and precision 1 / (how often it was named), so its F1 is 2 / (1 + that); a class
    that was not found has 0.
    """
    named = np.bincount(found, minlength=len(found))[: len(found)]
    return np.where(found == np.arange(len(found)), 200.0 / (1 + named), 0.0)


def ranks_of_relevant(queries: Floats, documents: Floats, relevant: Places) -> Places:
    """The rank of each query's one relevant document, 1 for the first; equals come before it.

    Args:
        queries: float32 [n, dimension], of length 1.
        documents: float32 [m, dimension], of length 1.
        relevant: int64 [n], the number of each query's document.

    Returns:
        int64 [n].
    """
    found = []
    for start in range(0, len(queries), _ROWS_AT_ONCE):
        similar = queries[start : start + _ROWS_AT_ONCE] @ documents.T
        right = relevant[start : start + _ROWS_AT_ONCE]
        own = similar[np.arange(len(similar)), right]
        found.append((similar >= own[:, None]).sum(axis=1))
    return np.concatenate(found).astype(np.int64)


def ndcg_items(ranks: Places) -> Doubles:
    """nDCG@10 x 100 of each query with one relevant document: 1 / log2(rank + 1), 0 beyond the tenth."""
    return np.where(ranks <= _CUTOFF, 100.0 / np.log2(ranks + 1), 0.0)


def hit_items(ranks: Places) -> Doubles:
    """100 for each query whose relevant document comes first."""
    return np.where(ranks == 1, 100.0, 0.0)


def mrr_items(ranks: Places) -> Doubles:
    """Reciprocal rank x 100 of each query, 0 beyond the tenth."""
    return np.where(ranks <= _CUTOFF, 100.0 / ranks, 0.0)
