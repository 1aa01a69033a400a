"""The loop between requests and the model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest
from waiting import PATIENCE_S, until_async

from e5_onnx.errors import InferenceError
from e5_onnx.serve.dispatcher import Dispatcher
from e5_onnx.serve.errors import InternalError, OverloadError
from e5_onnx.serve.queue import Ticket


def ticket(*lengths: int) -> Ticket:
    rows = [np.full(length, length, np.int64) for length in lengths]
    return Ticket(rows, np.zeros((len(rows), 1), np.float32))


def first_ids(ids: np.ndarray, _mask: np.ndarray) -> np.ndarray:
    return ids[:, :1].astype(np.float32)


def dispatcher(
    run=first_ids,
    *,
    callers: int = 2,
    queue_tokens: int = 100_000,
    on_batch: Callable[[int, float], None] = lambda *_: None,
) -> Dispatcher:
    return Dispatcher(
        run,
        callers=callers,
        budget=64,
        queue_tokens=queue_tokens,
        on_batch=on_batch,
    )


def test_many_requests_at_once_get_their_own() -> None:
    seen: list[int] = []
    made = dispatcher(on_batch=lambda tokens, _: seen.append(tokens))
    tickets = [ticket(*range(1 + number % 7, 20)) for number in range(30)]

    async def run() -> None:
        await asyncio.gather(*(made.embed(one) for one in tickets))

    asyncio.run(run())
    made.close()
    for one in tickets:
        assert one.vectors[:, 0].tolist() == [len(row) for row in one.rows]
    assert sum(seen) == sum(len(row) for one in tickets for row in one.rows)
    assert made.waiting_tokens == 0


def test_a_full_queue_refuses() -> None:
    release = threading.Event()

    def slow(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        release.wait(PATIENCE_S)
        return first_ids(ids, mask)

    made = dispatcher(slow, callers=1, queue_tokens=100)

    async def run() -> None:
        # More than the queue holds, but nothing was waiting.
        first = asyncio.create_task(made.embed(ticket(*[10] * 20)))
        await until_async(lambda: made.waiting_tokens)
        with pytest.raises(OverloadError, match=r"\d+ tokens are waiting and 100 may"):
            await made.embed(ticket(5))
        release.set()
        await first

    asyncio.run(run())
    made.close()


def test_the_queue_may_be_full_to_the_last_token() -> None:
    running, release = threading.Event(), threading.Event()

    def slow(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        running.set()
        release.wait(PATIENCE_S)
        return first_ids(ids, mask)

    made = dispatcher(slow, callers=1, queue_tokens=100)

    async def run() -> None:
        def ask(tokens: int) -> asyncio.Task[None]:
            return asyncio.create_task(made.embed(ticket(tokens)))

        asked = [ask(5)]  # it runs, so that nothing waits
        await until_async(running.is_set)
        asked += [ask(60), ask(40)]
        await until_async(lambda: made.waiting_tokens == 100)
        with pytest.raises(OverloadError, match="100 tokens are waiting and 100 may"):
            await made.embed(ticket(1))
        release.set()
        await asyncio.gather(*asked)

    asyncio.run(run())
    made.close()


def test_a_cancelled_request_leaves_the_queue() -> None:
    release = threading.Event()

    def slow(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        release.wait(PATIENCE_S)
        return first_ids(ids, mask)

    made = dispatcher(slow, callers=1)

    async def run() -> None:
        task = asyncio.create_task(made.embed(ticket(*[30] * 30)))
        await until_async(lambda: made.waiting_tokens)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert made.waiting_tokens == 0
        release.set()

    asyncio.run(run())
    made.close()


def test_a_failing_batch_fails_its_requests_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail_on_7(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if (ids == 7).any():
            raise InferenceError("boom", batch=1, tokens=7)
        return first_ids(ids, mask)

    made = dispatcher(fail_on_7, callers=1)

    async def run() -> list[object]:
        asked = [
            made.embed(ticket(7, *[40] * 9)),
            made.embed(ticket(60)),
        ]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    bad, good = asyncio.run(run())
    made.close()
    assert isinstance(bad, InternalError)
    assert good is None
    assert "a batch failed" in caplog.text


def test_a_failure_that_nobody_waits_for_is_no_error() -> None:
    running, release = threading.Event(), threading.Event()

    def fail(_ids: np.ndarray, _mask: np.ndarray) -> np.ndarray:
        running.set()
        release.wait(PATIENCE_S)
        raise InferenceError("boom", batch=1, tokens=7)

    made = dispatcher(fail, callers=1)

    async def run() -> None:
        task = asyncio.create_task(made.embed(ticket(5)))
        await until_async(running.is_set)
        task.cancel()
        release.set()
        with pytest.raises(InternalError):
            await made.embed(ticket(6))
        assert task.cancelled()

    asyncio.run(run())
    made.close()
