"""Our programs in processes of their own: started, stopped, killed, and how they ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from e5_onnx_perf.errors import WorkerError

# No program here takes so long on a working machine: one that does hangs.
PATIENCE_S: Final = 600.0
_EVERY_S: Final = 0.002
_TRACEBACK: Final = "Traceback (most recent call last)"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        code: Its exit code, negative for a signal; None if it had to be killed because it hung.
        output: The text on stdout.
        said: The text on stderr.
    """

    code: int | None
    output: str = ""
    said: str = ""

    @property
    def crash(self) -> str | None:
        """Why this is no proper end, in a few words; None for success or an error that is told."""
        if self.code is None:
            return f"hung for {PATIENCE_S:.0f} s"
        if self.code < 0:
            return f"died of {signal.Signals(-self.code).name}"
        return f"ended with a traceback: {self.last_line}" if _TRACEBACK in self.said else None

    @property
    def last_line(self) -> str:
        """The last line of stderr."""
        return (self.said.strip().splitlines() or [""])[-1]


def e5(*words: object) -> list[str]:
    """The command line of `e5 WORDS` with this Python."""
    return [sys.executable, "-m", "e5_onnx.cli", *map(str, words)]


def e5_export(*words: object) -> list[str]:
    """The command line of `e5-export WORDS` with this Python."""
    return [sys.executable, "-m", "e5_onnx_export", *map(str, words)]


def module(name: str, *words: object) -> list[str]:
    """The command line of a module of this package."""
    return [sys.executable, "-m", f"e5_onnx_perf.faults.{name}", *map(str, words)]


def start(
    command: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Starts a program in a process group of its own."""
    own = {**os.environ, **(environment or {})}
    return subprocess.Popen(  # noqa: S603 - our own programs
        command, stdin=stdin, stdout=stdout, stderr=stderr, text=True, env=own, start_new_session=True
    )


def end(process: subprocess.Popen[str], given: str | None = None) -> Ended:
    """Waits for the end, or kills a program that hangs."""
    try:
        output, said = process.communicate(given, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        kill(process)
        return Ended(None)
    return Ended(process.returncode, output or "", said or "")


def run_program(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Ended:
    """Starts a program and waits for its end."""
    return end(start(command, environment=environment))


def finish(command: Sequence[str]) -> Ended:
    """Runs a program that must succeed.

    Raises:
        WorkerError: If it does not: then there is nothing to try a fault on.
    """
    ended = run_program(command)
    if ended.code != 0:
        raise WorkerError(command[2], ended.crash or ended.last_line)
    return ended


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL for a program and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> bool:
    """Waits until a condition holds; False if the process ended before, or nothing happens for too long."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > ends or (process is not None and process.poll() is not None):
            return condition()
        time.sleep(_EVERY_S)
    return True


def held(process: subprocess.Popen[str]) -> bool:
    """Stops a program where it is (SIGSTOP); False if it had ended."""
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGSTOP)
    return True


def let_go_on(process: subprocess.Popen[str]) -> None:
    """Lets a program that was stopped go on."""
    os.killpg(process.pid, signal.SIGCONT)
