"""An iterable of any length in pieces, without losing what came before an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yields lists of up to `size` consecutive items.

    If the iterable raises, the items before the error are yielded first and the error follows, so that a
    source which breaks half-way loses nothing that it gave.
    """
    chunk: list[T] = []
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            break
        # Whatever the caller's iterable raises is the caller's: it goes on unchanged.
        except BaseException:
            if chunk:
                yield chunk
            raise
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
