"""Which texts say the same, across languages too: `python docs/examples/deduplicate.py e5-large 0.88`.

Texts are compared as queries, both sides alike (see "Which role for which task" in the README). Cosines of
this family lie between 0.7 and 1, and where sameness begins depends on model and texts: look at some pairs.
"""

from __future__ import annotations

import sys

import numpy as np
from texts import DOCUMENTS

from e5_onnx import Embedder

BLOCK = 1024


def similar_pairs(vectors: np.ndarray, threshold: float) -> list[tuple[int, int, float]]:
    """Pairs of rows with a cosine of at least `threshold`, a block of the matrix at a time."""
    pairs = []
    for start in range(0, len(vectors), BLOCK):
        cosines = vectors[start : start + BLOCK] @ vectors.T
        rows, others = np.nonzero(cosines >= threshold)
        pairs += [
            (int(start + row), int(other), float(cosines[row, other]))
            for row, other in zip(rows, others, strict=True)
            if start + row < other
        ]
    return pairs


def groups(count: int, pairs: list[tuple[int, int, float]]) -> list[list[int]]:
    """Rows that hang together by pairs, the first of each group being the one to keep."""
    first = list(range(count))
    for row, other, _ in pairs:
        low, high = sorted((first[row], first[other]))
        first = [low if found == high else found for found in first]
    found = {leader: [row for row in range(count) if first[row] == leader] for leader in set(first)}
    return [found[leader] for leader in sorted(found) if len(found[leader]) > 1]


if __name__ == "__main__":
    with Embedder(sys.argv[1]) as model:
        embedded = model.embed_queries(DOCUMENTS)
    for group in groups(len(DOCUMENTS), similar_pairs(embedded, float(sys.argv[2]))):
        print("\n".join(DOCUMENTS[row] for row in group), end="\n\n")
