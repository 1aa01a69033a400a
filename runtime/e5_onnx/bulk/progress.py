"""How far a bulk run is: a line on the terminal, or a line a minute where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from e5_onnx.progress import ProgressLine

_EVERY_SECONDS: Final = 60.0


class BulkProgress:
    """Counts what this run does; what one before it did takes no time now."""

    def __init__(
        self,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        shown: bool | None = None,
    ) -> None:
        """Starts the clock.

        Args:
            stream: Where lines go; None for stderr.
            clock: Seconds.
            shown: False for no lines at all.
        """
        self._stream = stream or sys.stderr
        self._clock = clock
        self._shown = shown is not False
        self._lines = self._shown and not self._stream.isatty()
        self._rows = 0
        self._line = self._new_line()
        self._last = clock()

    @property
    def texts(self) -> ProgressLine:
        """Rows, tokens and seconds since the work began."""
        return self._line

    def say(self, text: str) -> None:
        """Says what is about to be done."""
        if self._shown:
            self._stream.write(f"e5: {text}\n")
            self._stream.flush()

    def begin(self, rows: int) -> None:
        """Starts the clock anew, for the work itself.

        Args:
            rows: That are to be done.
        """
        self._rows, self._line, self._last = rows, self._new_line(), self._clock()

    def add(self, rows: int, tokens: int, truncated: int) -> None:
        """Counts what was done."""
        done = (self._line.texts + rows) / self._rows if self._rows else None
        self._line.add(texts=rows, tokens=tokens, truncated=truncated, done=done)
        if self._lines and self._clock() - self._last >= _EVERY_SECONDS:
            self._last = self._clock()
            self.say(self._line.status(done))

    def close(self) -> None:
        """Takes the terminal's line away."""
        self._line.close()

    def _new_line(self) -> ProgressLine:
        return ProgressLine(stream=self._stream, clock=self._clock, shown=None if self._shown else False)
