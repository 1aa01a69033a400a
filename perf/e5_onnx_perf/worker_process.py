"""A measuring process of our own: asked over its stdin, answers over its stdout, a JSON object a line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from e5_onnx_perf.errors import WorkerError


class WorkerProcess:
    """A process with something loaded.

    Attributes:
        name: The name of the program, for messages.
        loaded: The program's report on loading.
    """

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        """Starts `python -m module arguments` and waits until it says that it has loaded.

        Raises:
            WorkerError: If it cannot.
        """
        self.name = name
        # A file: nobody reads a pipe while a worker works, and a full one would stop it.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603 - this package's own worker
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        self._asks, self._answers = self._process.stdin, self._process.stdout
        self.loaded = self._answer()

    @property
    def process_id(self) -> int:
        """The id of its process."""
        return self._process.pid

    def request(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Has it do one job and returns its answer.

        Raises:
            WorkerError: If it dies of it.
        """
        try:
            self._asks.write(json.dumps(message) + "\n")
            self._asks.flush()
        except BrokenPipeError as error:
            raise self._death() from error
        return self._answer()

    def close(self) -> None:
        """Lets it end; a second call does nothing."""
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise self._death()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _death(self) -> WorkerError:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        self.close()
        if code < 0:  # then what it said last has nothing to do with it
            return WorkerError(self.name, f"it was killed by {signal.Signals(-code).name}")
        return WorkerError(self.name, said[-1] if said else f"it ended with exit code {code}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
