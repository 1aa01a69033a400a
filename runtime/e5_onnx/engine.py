"""The way of a text: check, template, tokens, batches, vectors, and back into order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e5_onnx.batching import pad, plan_batches
from e5_onnx.encoded import Encoded
from e5_onnx.manifest import Manifest
from e5_onnx.overflow import Rows, check_policy, fit
from e5_onnx.recipes import Role
from e5_onnx.session import Session
from e5_onnx.tokenization import OverflowPolicy, TextTokenizer, TokenizedText, check_texts
from e5_onnx.windows import merge_windows


@dataclass(frozen=True, slots=True)
class Request:
    """How texts are to be embedded.

    Attributes:
        role: Of the texts.
        task: The instruction of queries, or None for the recipe's default.
        overflow: What becomes of texts that are too long.
        first_index: The number of the first text, for messages.
    """

    role: Role
    task: str | None
    overflow: OverflowPolicy
    first_index: int = 0


@dataclass(frozen=True, slots=True)
class Engine:
    """A loaded model: immutable, so many threads may call it."""

    manifest: Manifest
    tokenizer: TextTokenizer
    session: Session
    token_budget: int

    def encode(self, texts: Sequence[str], request: Request) -> Encoded:
        """Embeds texts, in order."""
        check_policy(request.overflow, request.role)
        tokenized = self.tokenize(texts, request)
        rows = fit(tokenized, self.manifest.max_tokens, request.overflow, first_index=request.first_index)
        return Encoded(_merge(rows, self._run(rows.ids)), rows.tokens, rows.truncated)

    def tokenize(self, texts: Sequence[str], request: Request) -> list[TokenizedText]:
        """Checks texts and turns them into tokens."""
        template = self.manifest.recipe.template(request.role, request.task)
        checked = check_texts(texts, first_index=request.first_index)
        return [self.tokenizer.tokenize(text, template) for text in checked]

    def _run(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        vectors = np.empty((len(rows), self.manifest.dimension), np.float32)
        for batch in plan_batches([len(row) for row in rows], self.token_budget):
            vectors[batch] = self.session.run(*pad([rows[index] for index in batch]))
        return vectors


def _merge(rows: Rows, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row vectors to text vectors: only windowed texts have more than one row."""
    if len(rows.ids) == len(rows.tokens):
        return vectors
    lengths = np.array([len(row) for row in rows.ids], np.int64)
    texts = [
        vectors[start] if end == start + 1 else merge_windows(vectors[start:end], lengths[start:end])
        for start, end in zip(rows.first, rows.first[1:], strict=False)
    ]
    return np.stack(texts)
