"""What the exporter says while it works, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from tqdm import tqdm

T = TypeVar("T")


class Progress(Protocol):
    """The receiver of progress reports."""

    def step(self, text: str) -> None:
        """Says what begins."""

    def track(self, items: Iterable[T], *, label: str, total: int) -> Iterator[T]:
        """Passes items on, showing how many are done."""


class QuietProgress:
    """Says nothing: for use as a library."""

    def step(self, text: str) -> None:
        """Says nothing."""

    def track(self, items: Iterable[T], *, label: str, total: int) -> Iterator[T]:
        """Passes items on."""
        yield from items


class TerminalProgress:
    """A line a step, and a bar where stderr is a terminal."""

    def step(self, text: str) -> None:
        """Writes a line."""
        tqdm.write(text, file=sys.stderr)

    def track(self, items: Iterable[T], *, label: str, total: int) -> Iterator[T]:
        """Shows a bar that disappears when it is full."""
        # disable=None: only a terminal gets the bar.
        yield from tqdm(items, desc=label, total=total, file=sys.stderr, leave=False, disable=None)
