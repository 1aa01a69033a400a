"""A worker ends with its supervisor, however that ends: a pipe that only the supervisor can write to ends."""

from __future__ import annotations

import os
import shutil
import signal
import threading

from e5_onnx.serve.metrics import MULTIPROCESS


def end_with_supervisor(descriptor: int) -> threading.Event:
    """Watches the supervisor from a thread of its own; the main one may be loading a model.

    Args:
        descriptor: The pipe's end to read.

    Returns:
        Set once the supervisor is gone.
    """
    is_orphan = threading.Event()

    def watch() -> None:
        os.read(descriptor, 1)
        is_orphan.set()
        # The first has it stop, the second has it not wait for balancers to see that.
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)

    threading.Thread(target=watch, name="e5-supervisor", daemon=True).start()
    return is_orphan


def clear_up() -> None:
    """Removes the folder of counters that a supervisor left behind."""
    shutil.rmtree(os.environ[MULTIPROCESS], ignore_errors=True)
