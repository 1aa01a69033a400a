"""Jobs that share one thread: newcomers first, then turns; who is cancelled or fails holds up nobody."""

from __future__ import annotations

import asyncio
import threading

import pytest
from waiting import PATIENCE_S, until_async

from e5_onnx.serve.turns import Steps, Turns


def steps(name: str, count: int, taken: list[str], gate: threading.Event | None = None) -> Steps[str]:
    for _ in range(count):
        if gate is not None:
            gate.wait(PATIENCE_S)
        taken.append(name)
        yield
    return f"{name} is done"


def test_a_newcomer_waits_for_one_step_and_then_for_one_of_each() -> None:
    taken: list[str] = []
    gate = threading.Event()
    turns = Turns("test")

    async def run() -> list[str]:
        long = [asyncio.create_task(turns.run(steps(name, 4, taken, gate))) for name in "ab"]
        await asyncio.sleep(0)
        short = asyncio.create_task(turns.run(steps("c", 1, taken)))
        await asyncio.sleep(0)
        gate.set()
        return list(await asyncio.gather(*long, short))

    assert asyncio.run(run()) == ["a is done", "b is done", "c is done"]
    turns.close()
    assert sorted(taken) == sorted("aaaabbbbc")
    assert taken.index("c") <= 3
    assert taken[-4:].count("a") == 2


def test_a_failing_job_fails_alone() -> None:
    turns = Turns("test")

    def failing() -> Steps[str]:
        yield
        raise ValueError("boom")

    async def run() -> str:
        with pytest.raises(ValueError, match="boom"):
            await turns.run(failing())
        return await turns.run(steps("a", 2, []))

    assert asyncio.run(run()) == "a is done"
    turns.close()


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancelled_job_takes_no_more_steps(fails: bool) -> None:
    taken: list[str] = []
    running, gate = threading.Event(), threading.Event()
    turns = Turns("test")

    def slow() -> Steps[str]:
        running.set()
        gate.wait(PATIENCE_S)
        taken.append("one")
        if fails:
            raise ValueError("nobody waits for this")
        yield
        taken.append("two")
        return ""

    async def run() -> None:
        gone = asyncio.create_task(turns.run(slow()))
        waiting = asyncio.create_task(turns.run(steps("never", 1, taken)))
        await until_async(running.is_set)
        for task in (gone, waiting):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.set()
        assert await turns.run(steps("other", 1, taken)) == "other is done"

    asyncio.run(run())
    turns.close()
    assert taken == ["one", "other"]
