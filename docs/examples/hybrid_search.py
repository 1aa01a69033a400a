"""Hybrid search, words and meaning together: `python docs/examples/hybrid_search.py e5-large 'sea depth'`.

BM25 finds names, numbers and rare words; vectors find the same thing said otherwise, or in another language.
Their scores cannot be added up, but ranks can: reciprocal rank fusion (Cormack and others, 2009).
"""

from __future__ import annotations

import sys

import bm25s
import numpy as np
from texts import DOCUMENTS

from e5_onnx import Embedder

SMOOTHING = 60


class HybridIndex:
    """Documents, searched both ways."""

    def __init__(self, model: Embedder, documents: list[str]) -> None:
        self.model, self.documents = model, documents
        self.vectors = model.embed_documents(documents)
        self.words = bm25s.BM25()
        self.words.index(bm25s.tokenize(documents, stopwords=None, show_progress=False), show_progress=False)

    def search(self, query: str, top: int = 3) -> list[tuple[str, float]]:
        """Text and fused score of the best documents."""
        fused = np.zeros(len(self.documents))
        for ranked in (self._by_words(query), self._by_meaning(query)):
            fused[ranked] += 1 / (SMOOTHING + 1 + np.arange(len(ranked)))
        return [(self.documents[best], float(fused[best])) for best in np.argsort(-fused)[:top]]

    def _by_meaning(self, query: str) -> np.ndarray:
        return np.argsort(-(self.vectors @ self.model.embed_queries(query)))

    def _by_words(self, query: str) -> np.ndarray:
        tokens = bm25s.tokenize([query], stopwords=None, return_ids=False, show_progress=False)[0]
        scores = self.words.get_scores(tokens)
        ranked = np.argsort(-scores, kind="stable")
        return ranked[scores[ranked] > 0]  # documents without any of the words are not ranked


if __name__ == "__main__":
    with Embedder(sys.argv[1]) as opened:
        for text, score in HybridIndex(opened, DOCUMENTS).search(sys.argv[2]):
            print(f"{score:.4f}  {text}")
