"""How many tokens a second the graph does when nothing but the graph has to be done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e5_onnx import Embedder
from e5_onnx.inference.batching import CHUNK_TEXTS, THREAD_PADDED_TOKENS
from e5_onnx.machine.threads import choose_threads


class GraphAlone:
    """The chunks that a bulk run would make of texts, as token ids, for as many threads as it has."""

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        self._workers = choose_threads(None).count
        self._model = Embedder(folder, threads=1, token_budget=THREAD_PADDED_TOKENS, overflow="truncate")
        limit = self._model.max_tokens
        ids = [row[:limit] for row in self._model.tokenize(texts, role="document")]
        self._chunks = [ids[start : start + CHUNK_TEXTS] for start in range(0, len(ids), CHUNK_TEXTS)]
        self.tokens = sum(map(len, ids))

    def tokens_per_second(self) -> float:
        """Embeds all chunks once, after a first one that is not timed."""
        self._model.encode_ids(self._chunks[0])
        with ThreadPoolExecutor(self._workers) as pool:
            started = time.perf_counter()
            for _ in pool.map(self._model.encode_ids, self._chunks):
                pass
            return self.tokens / (time.perf_counter() - started)

    def close(self) -> None:
        """Closes the model."""
        self._model.close()
