"""What a command says on stderr: what cannot be written there is lost, and the work goes on."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any, TextIO


@contextmanager
def messages_may_be_lost() -> Iterator[None]:
    """Drops every message that stderr does not take, such as a log on a full disk or a stderr that is closed.

    A run of hours must not end because its log is full.
    """
    with redirect_stderr(_LossyStream(sys.stderr)):
        yield


class _LossyStream(io.TextIOBase):
    """A stream that drops what cannot be written."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream: Any = io.StringIO() if stream is None else stream
        if not self._stream.isatty():
            with suppress(OSError):  # a stream without a descriptor
                # Without a buffer, which would try once more, and fail, when the program ends.
                raw = io.FileIO(self._stream.fileno(), "w", closefd=False)
                self._stream = io.TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)

    def write(self, text: str) -> int:
        """Writes text, or drops it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def isatty(self) -> bool:
        """Returns whether the stream is a terminal."""
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        """Its descriptor, if it has one."""
        return int(self._stream.fileno())
