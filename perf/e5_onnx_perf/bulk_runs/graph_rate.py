"""How many tokens a second the graph does when nothing but the graph has to be done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx import Embedder
from e5_onnx.inference.batching import pad, plan_batches
from e5_onnx.inference.engine import CALLERS_BUDGET
from e5_onnx.machine.threads import choose_threads
from e5_onnx.text_input.streaming import CHUNK_TEXTS

_WARM_UP: Final = 16
Grid = tuple[NDArray[np.int64], NDArray[np.int64]]


class GraphAlone:
    """The batches that a bulk run would make of texts, ready to be run by as many callers as it has."""

    def __init__(self, folder: Path, texts: Sequence[str], threads: int | None = None) -> None:
        self._callers = choose_threads(threads).count
        self._model = Embedder(folder, threads=1, token_budget=CALLERS_BUDGET, overflow="truncate")
        self._session = self._model._lifetime.get().session  # noqa: SLF001 - measured from within
        self._grids: list[Grid] = []
        self.tokens = 0
        for start in range(0, len(texts), CHUNK_TEXTS):
            rows = self._model.tokenize(texts[start : start + CHUNK_TEXTS], role="document")
            ids = [row[: self._model.max_tokens] for row in rows]
            self.tokens += sum(map(len, ids))
            batches = plan_batches([len(row) for row in ids], CALLERS_BUDGET)
            self._grids += [pad([ids[index] for index in batch]) for batch in batches]

    def tokens_per_second(self) -> float:
        """Runs all of them once."""
        for grid in self._grids[:_WARM_UP]:
            self._session.run(*grid)
        with ThreadPoolExecutor(self._callers) as pool:
            started = time.perf_counter()
            for _ in pool.map(lambda grid: self._session.run(*grid), self._grids):
                pass
            return self.tokens / (time.perf_counter() - started)

    def close(self) -> None:
        """Lets go of the model."""
        self._model.close()
