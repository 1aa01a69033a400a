"""Reading, working and writing at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

_END: Final = object()
# Items of each worker that are worked on or wait: enough that a long one keeps no other worker idle.
_IN_FLIGHT: Final = 3
_EVERY_SECONDS: Final = 0.2


def in_order(
    items: Iterable[T], work: Callable[[T], R], *, workers: int, stop: Event
) -> Generator[R, None, None]:
    """Works on items in several threads, while one more reads ahead and the caller does its own part.

    If reading or working raises, the results before it are yielded first, then the error is raised. At most a
    few items a worker are read ahead.

    Args:
        items: The items to work on; they are read in a thread of their own.
        work: The function for one item; called in several threads at once.
        workers: How many threads.
        stop: When it is set, no further item is started: the results up to there end the iteration.

    Yields:
        The results of `work`, in the order of the items.
    """
    source = iter(items)

    def start(item: T) -> R | object:
        return _END if stop.is_set() else work(item)

    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(workers, "work") as pool:
        working: deque[Future[Any]] = deque()
        try:
            upcoming = reader.submit(next, source, _END)
            while not stop.is_set():
                if _settled(upcoming).exception() is not None:
                    working.append(upcoming)  # raises after the results before it
                    break
                item = upcoming.result()
                if item is _END:
                    break
                upcoming = reader.submit(next, source, _END)
                working.append(pool.submit(start, cast("T", item)))
                while len(working) >= workers * _IN_FLIGHT:
                    yield from _result(working)
            while working:
                yield from _result(working)
        finally:
            for future in working:
                future.cancel()


def _result(working: deque[Future[Any]]) -> Generator[Any, None, None]:
    """Waits for the first of those at work; where it was not started, none follows."""
    found = _settled(working.popleft()).result()
    if found is _END:
        working.clear()
    else:
        yield found


def _settled(future: Future[R]) -> Future[R]:
    """Waits for a future, a little at a time: Windows handles no Ctrl-C while a thread waits without end."""
    while not future.done():
        wait([future], timeout=_EVERY_SECONDS)
    return future
