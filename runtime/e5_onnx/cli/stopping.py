"""Ctrl-C and an ordinary kill, as a wish to stop that keeps what is computed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from e5_onnx.bulk.progress import BulkProgress

_STDERR: Final = 2
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_MESSAGE: Final = b"\ne5: stopping: the texts at work are finished and written; once more to stop at once\n"


@contextmanager
def stopped_by_signals(progress: BulkProgress) -> Iterator[Event]:
    """Yields an event that the first signal sets while texts are embedded; a second signal ends the process.

    Before and after that work a signal raises KeyboardInterrupt, since nothing computed would be lost.
    """
    stop = Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if not progress.is_working:
            raise KeyboardInterrupt
        stop.set()
        # Not by way of sys.stderr: the signal may have come while that was writing.
        os.write(_STDERR, _MESSAGE)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
