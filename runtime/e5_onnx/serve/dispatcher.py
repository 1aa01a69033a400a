"""The loop between requests and the model: takes tickets, runs batches in threads, wakes their requests."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.inference.batching import pad
from e5_onnx.serve.errors import InternalError, OverloadError, RequestError
from e5_onnx.serve.queue import Batch, FairQueue, Ticket

Run = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]

_LOG: Final = logging.getLogger("e5_onnx.serve")


class Dispatcher:
    """Runs the batches of a queue, as many at once as the model has callers. For one event loop."""

    def __init__(
        self,
        run: Run,
        *,
        callers: int,
        budget: int,
        queue_tokens: int,
        on_batch: Callable[[int, float], None],
    ) -> None:
        """Starts nothing yet.

        Args:
            run: Ids and mask, int64 [batch, sequence], to float32 [batch, dimension].
            callers: Batches that run at once, each in a thread.
            budget: The largest batch, in rows x tokens of the longest.
            queue_tokens: Number of tokens that may wait.
            on_batch: Told the tokens and seconds of each batch.
        """
        self._run = run
        self._queue = FairQueue(budget)
        self._limit = queue_tokens
        self._free = callers
        self._pool = ThreadPoolExecutor(callers, thread_name_prefix="e5-batch")
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._on_batch = on_batch
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds them weakly

    @property
    def waiting_tokens(self) -> int:
        """Tokens in the queue."""
        return self._queue.tokens

    async def embed(self, ticket: Ticket) -> None:
        """Fills a ticket's vectors. If the caller is cancelled, its waiting rows leave the queue.

        Raises:
            OverloadError: If the queue is full.
            InternalError: If onnxruntime fails.
        """
        waiting, wanted = self._queue.tokens, ticket.tokens
        # An empty queue takes any request that the limits of a request let in.
        if waiting and waiting + wanted > self._limit:
            raise OverloadError(waiting, self._limit)
        answer = asyncio.get_running_loop().create_future()
        self._answers[id(ticket)] = answer
        self._queue.add(ticket)
        try:
            self._start_batches()
            await answer
        finally:
            self._queue.remove(ticket)
            del self._answers[id(ticket)]

    def close(self) -> None:
        """Waits for batches that run."""
        self._pool.shutdown()

    def _start_batches(self) -> None:
        while self._free and (batch := self._queue.next_batch()) is not None:
            self._free -= 1
            loop = asyncio.get_running_loop()
            task = loop.create_task(self._run_batch(batch, loop))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_batch(self, batch: Batch, loop: asyncio.AbstractEventLoop) -> None:
        grid = pad(batch.rows)
        started = time.perf_counter()
        try:
            vectors = await loop.run_in_executor(self._pool, self._run, *grid)
        except Exception as error:
            _LOG.exception("a batch failed", exc_info=error)
            self._fail(batch, InternalError())
        else:
            self._on_batch(int(grid[1].sum()), time.perf_counter() - started)
            batch.deliver(vectors)
            for ticket in batch.tickets:
                if ticket.is_done:
                    self._settle(ticket, None)
        finally:
            self._free += 1
        self._start_batches()

    def _fail(self, batch: Batch, error: RequestError) -> None:
        for ticket in batch.tickets:
            self._queue.remove(ticket)
            self._settle(ticket, error)

    def _settle(self, ticket: Ticket, error: RequestError | None) -> None:
        """Wakes whoever waits for a ticket; nobody does if the client went away."""
        answer = self._answers.get(id(ticket))
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)
