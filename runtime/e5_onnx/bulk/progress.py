"""How far a bulk run is: a line on the terminal, or a line a minute where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from e5_onnx.text_input.progress import ProgressLine

_EVERY_SECONDS: Final = 60.0


class BulkProgress:
    """Counts what this run does.

    Attributes:
        rows: The number of rows of the input; None before it is known.
        kept: The number of rows that are done for good, by this run and those before it.
        is_working: Whether texts are being embedded now.
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
            stream: The stream for progress lines; None for stderr.
            clock: Seconds.
            shown: False for no lines at all.
        """
        self.rows: int | None = None
        self.kept = 0
        self.is_working = False
        self._stream = stream or sys.stderr
        self._clock = clock
        self._shown = shown is not False
        self._lines = self._shown and not self._stream.isatty()
        self._left = 0
        self._line = self._new_line()
        self._last = clock()

    @property
    def texts(self) -> ProgressLine:
        """Rows, tokens and seconds since the work began."""
        return self._line

    def say(self, text: str) -> None:
        """Prints a line."""
        if self._shown:
            self._stream.write(f"e5: {text}\n")
            self._stream.flush()

    def begin(self, rows: int, *, done: int) -> None:
        """Starts the clock again, for the work itself.

        Args:
            rows: The number of rows of the input.
            done: The number of those that runs before this one have done.
        """
        self.rows, self.kept, self._left = rows, done, rows - done
        self._line, self._last, self.is_working = self._new_line(), self._clock(), True

    def add(self, rows: int, tokens: int, truncated: int) -> None:
        """Counts what was done."""
        done = (self._line.texts + rows) / self._left if self._left else None
        self._line.add(texts=rows, tokens=tokens, truncated=truncated, done=done)
        if self._lines and self._clock() - self._last >= _EVERY_SECONDS:
            self._last = self._clock()
            self.say(self._line.status(done))

    def close(self) -> None:
        """Removes the terminal's line."""
        self.is_working = False
        self._line.close()

    def _new_line(self) -> ProgressLine:
        return ProgressLine(stream=self._stream, clock=self._clock, shown=None if self._shown else False)
