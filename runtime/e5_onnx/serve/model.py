"""The model of a server: texts to rows, rows to vectors, with what was counted on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from e5_onnx.engine import CALLERS_BUDGET, Engine, Request, merge_rows
from e5_onnx.errors import InputError, TextTooLongError
from e5_onnx.manifest import Manifest
from e5_onnx.opening import open_engine
from e5_onnx.options import DEFAULT_TOKEN_BUDGET, Options
from e5_onnx.overflow import Rows, check_policy, fit
from e5_onnx.recipes import Role
from e5_onnx.serve.dispatcher import Dispatcher
from e5_onnx.serve.errors import BadInputError, TooLargeError, TooLongError
from e5_onnx.serve.queue import Ticket
from e5_onnx.serve.roles import Chosen
from e5_onnx.serve.settings import Settings
from e5_onnx.threads import choose_threads
from e5_onnx.tokenization import OverflowPolicy, TokenizedText

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work:
    """What one request wants.

    Attributes:
        texts: The texts; at least one.
        role: Of all of them.
        task: The instruction of queries, or None.
        overflow: What becomes of texts that are too long.
    """

    texts: Sequence[str]
    role: Role
    task: str | None
    overflow: OverflowPolicy


@dataclass(frozen=True, slots=True)
class Done:
    """What it gets.

    Attributes:
        vectors: float32 [texts, dimension].
        used_tokens: That the model ran, after cutting.
        truncated: Texts that were cut.
    """

    vectors: NDArray[np.float32]
    used_tokens: int
    truncated: int


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
            token_budget=DEFAULT_TOKEN_BUDGET,
            overflow=settings.overflow,
            verify=False,
            fingerprint=None,
            tokenizer="auto",
            exact_int8="auto",
            mode=settings.mode,
            cache_dir=None,
        )
        self._engine: Final[Engine] = open_engine(settings.folder, options, threads)
        self._limits = settings.limits
        # One thread: a tokenizer holds Python's lock, so that a second would only wait.
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="e5-tokens")
        self._dispatcher = Dispatcher(
            self._engine.session.run,
            callers=self._engine.callers,
            budget=CALLERS_BUDGET * threads // self._engine.callers,
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

    async def embed(self, work: Work) -> Done:
        """Embeds the texts of one request, in order.

        Raises:
            RequestError: A leaf of it says why not.
        """
        rows = await self._in_thread(_fit, work)
        used = int(sum(map(len, rows.ids)))
        if used > self._limits.max_tokens:
            raise TooLargeError("tokens", used, self._limits.max_tokens)
        ticket = Ticket(rows.ids, np.empty((len(rows.ids), self.manifest.dimension), np.float32))
        await self._dispatcher.embed(ticket, deadline_s=self._limits.request_timeout)
        return Done(merge_rows(rows, ticket.vectors), used, int(rows.truncated.sum()))

    async def tokenize(self, texts: Sequence[str], chosen: Chosen) -> list[list[int]]:
        """Token ids of each text before any cutting.

        Raises:
            BadInputError: If one is not a valid text.
        """
        work = Work(texts, chosen.role, chosen.task, "truncate")
        tokenized = await self._in_thread(_tokenize, work)
        return [text.ids.tolist() for text in tokenized]

    async def _in_thread(self, act: Callable[[Engine, Work], T], work: Work) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._tokenizing, act, self._engine, work)

    def close(self) -> None:
        """Waits for what runs."""
        self._dispatcher.close()
        self._tokenizing.shutdown()


def _tokenize(engine: Engine, work: Work) -> list[TokenizedText]:
    try:
        return engine.tokenize(work.texts, Request(work.role, work.task, work.overflow))
    except InputError as error:
        raise BadInputError(str(error)) from error


def _fit(engine: Engine, work: Work) -> Rows:
    tokenized = _tokenize(engine, work)
    try:
        check_policy(work.overflow, work.role)
        return fit(tokenized, engine.manifest.max_tokens, work.overflow)
    except TextTooLongError as error:
        raise TooLongError(
            f"text {error.index} has {error.tokens} tokens, the model takes {error.limit}: split it"
        ) from error
    except InputError as error:
        raise BadInputError(str(error)) from error
