"""The model of a server: texts to rows, rows to vectors, and the counts of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.inference.batching import DEFAULT_PADDED_TOKENS, THREAD_PADDED_TOKENS
from e5_onnx.inference.engine import Engine, merge_rows
from e5_onnx.inference.options import Options
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.manifest import TOKENIZER_NAME, Manifest
from e5_onnx.opening import open_engine
from e5_onnx.serve.dispatcher import Dispatcher
from e5_onnx.serve.memory import may_hold
from e5_onnx.serve.queue import Ticket
from e5_onnx.serve.recent import RecentVectors
from e5_onnx.serve.seams import Seams
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.tokens import Tokeniser, Wish
from e5_onnx.serve.turns import Turns

# `tokenizers` takes some 18 times the size of tokenizer.json.
_LOADED_SIZE: Final = 20


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an embedding request.

    Attributes:
        vectors: float32 [texts, dimension].
        used_tokens: Number of tokens that the model ran, after truncation.
        truncated: Texts that were cut.
        cached: Texts whose vectors were there already.
    """

    vectors: NDArray[np.float32]
    used_tokens: int
    truncated: int
    cached: int = 0


class ServedModel:
    """A loaded folder and its queue."""

    def __init__(self, settings: Settings, on_batch: Callable[[int, float], None]) -> None:
        """Loads the folder.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
        """
        threads = choose_threads(settings.threads).count
        options = Options(
            threads=threads,
            token_budget=DEFAULT_PADDED_TOKENS,
            overflow=settings.overflow,
            verify=False,
            fingerprint=None,
            tokenizer="auto",
            exact_int8="auto",
            mode=settings.mode,
            cache_dir=None,
            low_memory=settings.low_memory,
        )
        self._engine: Final[Engine] = open_engine(settings.folder, options, threads)
        size = (settings.folder / TOKENIZER_NAME).stat().st_size
        self._tokeniser = Tokeniser(
            self._engine,
            Seams(self._engine.tokenizer, settings.folder),
            limit=settings.limits.max_tokens,
            may_load=partial(may_hold, _LOADED_SIZE * size / 1e6, limit_mb=settings.limits.max_memory_mb),
        )
        self._recent = RecentVectors(settings.cache_queries)
        # One thread: a tokenizer holds Python's lock, so that a second would only wait.
        self._turns = Turns("e5-tokens")
        self._dispatcher = Dispatcher(
            self._engine.session.run,
            callers=self._engine.callers,
            budget=THREAD_PADDED_TOKENS * threads // self._engine.callers,
            queue_tokens=settings.limits.queue_tokens,
            on_batch=on_batch,
        )

    @property
    def manifest(self) -> Manifest:
        """The folder's e5.json."""
        return self._engine.manifest

    @property
    def waiting_tokens(self) -> int:
        """Tokens in the queue."""
        return self._dispatcher.waiting_tokens

    async def embed(self, wish: Wish) -> Done:
        """Embeds the texts of one request, in order.

        Raises:
            RequestError: A leaf of it says why not.
        """
        rows = await self._turns.run(self._tokeniser.rows(wish))
        recent = self._recent if wish.role == "query" else RecentVectors(0)
        vectors = np.empty((len(rows.ids), self.manifest.dimension), np.float32)
        if missing := recent.fill(rows.ids, vectors):
            ticket = Ticket([rows.ids[index] for index in missing], np.empty_like(vectors[missing]))
            await self._dispatcher.embed(ticket)
            vectors[missing] = ticket.vectors
            for index in missing:
                recent.keep(rows.ids[index], vectors[index])
        used = int(sum(map(len, rows.ids)))
        cached = len(rows.ids) - len(missing)
        return Done(merge_rows(rows, vectors), used, int(rows.truncated.sum()), cached)

    async def tokenise(self, wish: Wish) -> list[NDArray[np.int64]]:
        """Token ids of each text, int64 [tokens], before any cutting if the wish is for windows.

        Raises:
            RequestError: A leaf of it says why not.
        """
        return [text.ids for text in await self._turns.run(self._tokeniser.tokenise(wish))]

    def close(self) -> None:
        """Waits for the batches that run."""
        self._dispatcher.close()
        self._turns.close()
