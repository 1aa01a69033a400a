"""The time in which an engine works: until it is closed, and only in the process that loaded it."""

from __future__ import annotations

import ctypes
import os
from typing import Final
from weakref import WeakSet

from e5_onnx.errors import ClosedError, ForkedError
from e5_onnx.inference.engine import Engine


class Lifetime:
    """Holds an engine, and returns it while it is usable."""

    def __init__(self, engine: Engine) -> None:
        """Stores the id of the process that loaded it: onnxruntime's threads do not survive a fork."""
        self._engine: Engine | None = engine
        self._pid = os.getpid()
        _living.add(self)

    def get(self) -> Engine:
        """Returns the engine.

        Raises:
            ClosedError: After `end`.
            ForkedError: In another process than the one that loaded it.
        """
        engine = self._engine  # read once: another thread may end it between two reads
        if engine is None:
            raise ClosedError
        if os.getpid() != self._pid:
            raise ForkedError(self._pid, os.getpid())
        return engine

    def end(self) -> None:
        """Releases the engine; a second call does nothing."""
        self._engine = None

    def leak(self) -> None:
        """Keeps the engine in memory until the process ends."""
        if self._engine is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))


_living: Final[WeakSet[Lifetime]] = WeakSet()


def _leak_in_fork() -> None:
    # Freeing a session waits for its threads. A fork does not have them, so that the wait would never end.
    for lifetime in _living:
        lifetime.leak()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which has no fork
    os.register_at_fork(after_in_child=_leak_in_fork)
