"""A loaded engine while it may be used: until it is closed, and in the process that loaded it."""

from __future__ import annotations

import os

from e5_onnx.errors import ClosedError, ForkedError
from e5_onnx.inference.engine import Engine


class Lifetime:
    """Holds an engine and gives it out as long as it can work."""

    def __init__(self, engine: Engine) -> None:
        """Remembers which process loaded it: onnxruntime's threads do not survive a fork."""
        self._engine: Engine | None = engine
        self._pid = os.getpid()

    def get(self) -> Engine:
        """Returns the engine.

        Raises:
            ClosedError: After `end`.
            ForkedError: In another process than the one that loaded it.
        """
        engine = self._engine  # once: another thread may end it meanwhile
        if engine is None:
            raise ClosedError
        if os.getpid() != self._pid:
            raise ForkedError(self._pid, os.getpid())
        return engine

    def end(self) -> None:
        """Lets go of the engine; a second call does nothing."""
        self._engine = None
