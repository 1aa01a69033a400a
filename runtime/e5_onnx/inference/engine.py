"""The way of a text: check, template, tokens, batches, vectors, and back into order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import OptionError
from e5_onnx.inference.batching import concurrent_limit, pad, plan_batches
from e5_onnx.inference.encoded import Encoded
from e5_onnx.inference.session import Session
from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.recipes import Role
from e5_onnx.text_input.texts import check_texts
from e5_onnx.tokens.overflow import TokenRows, check_policy, fit
from e5_onnx.tokens.tokenization import OverflowPolicy, TextTokenizer, TokenizedText
from e5_onnx.tokens.windows import merge_windows


@dataclass(frozen=True, slots=True)
class Request:
    """How texts are to be embedded.

    Attributes:
        role: The role of the texts.
        task: The instruction of queries, or None for the recipe's default.
        overflow: How texts beyond the token limit are treated.
        first_index: The number of the first text, for messages.
    """

    role: Role
    task: str | None
    overflow: OverflowPolicy
    first_index: int = 0


@dataclass(frozen=True, slots=True)
class Engine:
    """A loaded model: immutable, so many threads may call it.

    Attributes:
        manifest: The folder's manifest.
        tokenizer: Its tokenizer.
        session: Its graph.
        max_padded_tokens: The maximum of padded tokens of all batches that run at the same time.
        callers: Batches that run at once, each in a Python thread.
    """

    manifest: Manifest
    tokenizer: TextTokenizer
    session: Session
    max_padded_tokens: int
    callers: int = 1

    def encode(self, texts: Iterable[str], request: Request) -> Encoded:
        """Embeds texts, in order."""
        check_policy(request.overflow, request.role)
        tokenized = self.tokenize(texts, request)
        rows = fit(tokenized, self.manifest.max_tokens, request.overflow, first_index=request.first_index)
        return Encoded(merge_rows(rows, self._run(rows.ids)), rows.tokens, rows.truncated)

    def encode_ids(self, ids: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Embeds token ids of texts, int64 [tokens] each, in order: float32 [texts, dimension]."""
        limit, vocabulary = self.manifest.max_tokens, self.manifest.architecture.vocabulary
        for index, row in enumerate(ids):
            if row.ndim != 1 or not 0 < len(row) <= limit:
                expected = f"an array of 1 to {limit} token ids"
                raise OptionError(f"the shape of ids[{index}]", row.shape, expected)
            if not np.issubdtype(row.dtype, np.integer):
                raise OptionError(
                    f"the dtype of ids[{index}]", str(row.dtype), "an integer dtype such as int64"
                )
            if outside := row[(row < 0) | (row >= vocabulary)].tolist():
                raise OptionError(f"an id of ids[{index}]", outside[0], f"0 to {vocabulary - 1}")
        return self._run(ids)

    def tokenize(self, texts: Iterable[str], request: Request) -> list[TokenizedText]:
        """Checks texts and turns them into tokens."""
        template = self.manifest.recipe.template(request.role, request.task)
        checked = check_texts(texts, first_index=request.first_index)
        return [self.tokenizer.tokenize(text, template) for text in checked]

    def _run(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        vectors = np.empty((len(rows), self.manifest.dimension), np.float32)

        def run(batch: list[int]) -> None:
            vectors[batch] = self.session.run(*pad([rows[index] for index in batch]))

        limit = concurrent_limit(self.max_padded_tokens, self.callers)
        batches = plan_batches([len(row) for row in rows], limit)
        if self.callers == 1:
            for batch in batches:
                run(batch)
        else:
            with ThreadPoolExecutor(self.callers) as pool:
                # Taken one by one, so that an error of any batch is raised here.
                for _ in pool.map(run, batches):
                    pass
        return vectors


def merge_rows(rows: TokenRows, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turns row vectors into text vectors: only windowed texts have more than one row.

    Args:
        rows: As `fit` made them.
        vectors: float32 [rows, dimension].

    Returns:
        float32 [texts, dimension].
    """
    if len(rows.ids) == len(rows.tokens):
        return vectors
    lengths = np.array([len(row) for row in rows.ids], np.int64)
    texts = [
        vectors[start] if end == start + 1 else merge_windows(vectors[start:end], lengths[start:end])
        for start, end in zip(rows.first, rows.first[1:], strict=False)
    ]
    return np.stack(texts)
