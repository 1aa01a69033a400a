"""Several serving processes on one socket: started, watched, restarted when they die, stopped together."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from e5_onnx.machine.exit_codes import DONE, INTERRUPTED
from e5_onnx.serve.metrics import MULTIPROCESS
from e5_onnx.serve.sockets import Sockets

_LOG: Final = logging.getLogger("e5_onnx.serve")
_LOOK_EVERY_S: Final = 0.2
# A worker that is told to stop while it still loads was interrupted, and had taken nothing.
_ENDED_WELL: Final = {DONE, INTERRUPTED, -signal.SIGTERM}
_SETTLED_AFTER_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 30.0


class Supervisor:
    """Keeps a number of workers alive until it is told to stop."""

    def __init__(
        self,
        arguments: Sequence[str],
        count: int,
        sockets: Sockets,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts nothing yet.

        Args:
            arguments: The arguments after `python -m e5_onnx.cli` for one worker process.
            count: The number of workers.
            sockets: Their sockets.
            clock: Seconds that never run backwards.
        """
        self._count, self._clock = count, clock
        inherited = [found for found in (sockets.api, sockets.metrics) if found is not None]
        for found in inherited:
            found.set_inheritable(True)
        self._descriptors = [found.fileno() for found in inherited]
        listed = ",".join(map(str, self._descriptors))
        # Nothing is ever written: it ends when this process does, and its workers see that.
        seen_by_workers, self._kept = os.pipe()
        self._descriptors.append(seen_by_workers)
        own = ["--listen-fd", listed, "--supervisor-fd", str(seen_by_workers)]
        self._command = [sys.executable, "-m", "e5_onnx.cli", *arguments, *own]
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._pauses = dict.fromkeys(range(count), 0.0)
        self._due = dict.fromkeys(range(count), 0.0)
        self._stopping = False

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT; returns the exit code, 0 if every worker ended well."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with tempfile.TemporaryDirectory(prefix="e5-metrics-") as metrics:
            environment = {**os.environ, MULTIPROCESS: metrics}
            while not self._stopping:
                self._look(environment)
                time.sleep(_LOOK_EVERY_S)
            codes = self._end()
        return 0 if set(codes) <= _ENDED_WELL else 1

    def _look(self, environment: dict[str, str]) -> None:
        for number in range(self._count):
            worker = self._running.get(number)
            if worker is not None and worker[0].poll() is None:
                continue
            if worker is not None:
                self._mourn(number, *worker)
                if MULTIPROCESS in environment:
                    # What it had waiting, waits no more.
                    mark_process_dead(worker[0].pid, environment[MULTIPROCESS])  # type: ignore[no-untyped-call]
            if number not in self._running and self._clock() >= self._due[number]:
                self._start(number, environment)

    def _start(self, number: int, environment: dict[str, str]) -> None:
        process = subprocess.Popen(  # noqa: S603 - this very program
            self._command, pass_fds=self._descriptors, env=environment
        )
        self._running[number] = process, self._clock()
        _LOG.info("worker started", extra={"worker": number, "pid": process.pid})

    def _mourn(self, number: int, process: subprocess.Popen[bytes], started: float) -> None:
        """Has a worker started again: at once, or after a pause that grows if it cannot live long."""
        settled = self._clock() - started > _SETTLED_AFTER_S
        pause = 0.0 if settled else min(_LONGEST_PAUSE_S, 2 * self._pauses[number] + _LOOK_EVERY_S)
        self._pauses[number] = pause
        self._due[number] = self._clock() + pause
        del self._running[number]
        _LOG.error("worker died", extra={"worker": number, "pid": process.pid, "code": process.returncode})

    def _end(self) -> list[int]:
        processes = [process for process, _ in self._running.values()]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait() for process in processes]

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
