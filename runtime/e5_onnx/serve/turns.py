"""Long work in one thread beside short work: a step of each job in turn, newcomers first."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from e5_onnx.serve.queue import TwoLines

T = TypeVar("T")
# Work that stops after each step and returns a value at its end.
Steps = Generator[None, None, T]


@dataclass(eq=False, slots=True)
class _Job:
    steps: Steps[Any]
    answer: asyncio.Future[Any]


class Turns:
    """A thread and the jobs that wait for it. For one event loop."""

    def __init__(self, name: str) -> None:
        """Starts nothing yet; takes the thread's name."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lines: TwoLines[_Job] = TwoLines()
        self._is_busy = False

    async def run(self, steps: Steps[T]) -> T:
        """Runs a job to its end. If the caller is cancelled, the remaining steps do not run.

        Raises:
            Exception: Whatever a step raises.
        """
        job = _Job(steps, asyncio.get_running_loop().create_future())
        self._lines.fresh.append(job)
        self._take_a_step()
        try:
            found: T = await job.answer
        finally:
            self._lines.leave(job)
        return found

    def close(self) -> None:
        """Waits for the step that runs."""
        self._thread.shutdown()

    def _take_a_step(self) -> None:
        if self._is_busy or not (line := self._lines.next_line()):
            return
        job = line.popleft()
        self._is_busy = True
        running = asyncio.get_running_loop().run_in_executor(self._thread, _step, job.steps)
        running.add_done_callback(partial(self._go_on, job))

    def _go_on(self, job: _Job, ran: asyncio.Future[tuple[bool, Any]]) -> None:
        self._is_busy = False
        if job.answer.done():
            ran.exception()  # nobody waits for it any more
        elif (error := ran.exception()) is not None:
            job.answer.set_exception(error)
        else:
            is_done, value = ran.result()
            if is_done:
                job.answer.set_result(value)
            else:
                self._lines.served.append(job)
        self._take_a_step()


def _step(steps: Steps[Any]) -> tuple[bool, Any]:
    """Whether a job came to its end, and its value."""
    try:
        next(steps)
    except StopIteration as end:
        return True, end.value
    return False, None
