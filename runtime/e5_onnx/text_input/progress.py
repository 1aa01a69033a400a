"""A line on the terminal that says how far a long command is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

_EVERY_SECONDS: Final = 0.2
_SHORTEST: Final = 1e-6


class ProgressLine:
    """Texts and tokens a second, and the time left; nothing where there is no terminal.

    Attributes:
        texts: Done so far.
        tokens: Done so far.
        truncated: Number of truncated texts.
    """

    def __init__(
        self,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        shown: bool | None = None,
    ) -> None:
        """Starts the clock.

        Args:
            stream: The stream for the line; None for stderr.
            clock: Seconds.
            shown: Whether there is a line; None for only on a terminal.
        """
        self.texts = self.tokens = self.truncated = 0
        self._stream = stream or sys.stderr
        self._clock = clock
        self._shown = self._stream.isatty() if shown is None else shown
        self._started = self._last = clock()
        self._width = 0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    def add(self, *, texts: int, tokens: int, truncated: int, done: float | None) -> None:
        """Counts what was done.

        Args:
            texts: More texts.
            tokens: More tokens.
            truncated: How many of the texts were cut.
            done: The part of the whole that is done, 0 to 1, if that is known.
        """
        self.texts += texts
        self.tokens += tokens
        self.truncated += truncated
        if self._shown and self._clock() - self._last >= _EVERY_SECONDS:
            self._last = self._clock()
            self._write(self.status(done))

    def status(self, done: float | None) -> str:
        """`rates`, and the part that is done and the time left where that is known."""
        return f"{self.rates()}{self._left(done)}"

    def rates(self) -> str:
        """`12 texts, 34 texts/s, 56 tokens/s`."""
        seconds = max(self.seconds, _SHORTEST)
        texts, tokens = self.texts / seconds, self.tokens / seconds
        return f"{self.texts:,} texts, {texts:,.1f} texts/s, {tokens:,.0f} tokens/s"

    def close(self) -> None:
        """Takes the line away."""
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()
            self._width = 0

    def _left(self, done: float | None) -> str:
        if not done:
            return ""
        left = round(self.seconds * (1 - done) / done)
        return f", {done:.0%}, {left // 60}:{left % 60:02} left"

    def _write(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)
