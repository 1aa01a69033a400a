"""Reading, working and writing at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

_END: Final = object()
# Items of each worker that are being worked on or wait: enough that a long one keeps no other from working.
_IN_FLIGHT: Final = 3


def in_order(items: Iterable[T], work: Callable[[T], R], *, workers: int) -> Generator[R, None, None]:
    """Works on items in several threads, while one more reads ahead and the caller does its own part.

    If reading or working raises, what came before is yielded first, then the error goes on. Nothing is read
    further ahead than a few items a worker.

    Args:
        items: What to work on; it is read in a thread of its own.
        work: What to do with one; called in several threads at once.
        workers: How many.

    Yields:
        What `work` returns, in the order of the items.
    """
    source = iter(items)
    failure: Exception | None = None
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(workers, "work") as pool:
        working: deque[Future[R]] = deque()
        try:
            upcoming = reader.submit(next, source, _END)
            while True:
                try:
                    item = upcoming.result()
                except Exception as error:  # raised again, after what came before
                    failure = error
                    break
                if item is _END:
                    break
                upcoming = reader.submit(next, source, _END)
                working.append(pool.submit(work, cast("T", item)))
                while len(working) >= workers * _IN_FLIGHT:
                    yield working.popleft().result()
            while working:
                yield working.popleft().result()
        finally:
            for future in working:
                future.cancel()
    if failure is not None:
        raise failure
