"""The other end of a worker's pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from e5_onnx_perf.engines import EngineName
from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.figures.workloads import Draw

_MODULE: Final = "e5_onnx_perf.figures.worker"


@dataclass(frozen=True, slots=True)
class Contestant:
    """An engine on a path.

    Attributes:
        engine: Its name.
        path: A model folder or a checkpoint.
    """

    engine: EngineName
    path: Path

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.engine} {self.path.name}"


class Worker:
    """A process with one loaded engine.

    Attributes:
        contestant: What it runs.
        loaded: What it said of loading: seconds, memory before and after, and its vocabulary.
    """

    def __init__(self, contestant: Contestant, threads: int) -> None:
        """Starts it and waits until the engine is loaded.

        Raises:
            WorkerError: If it cannot be.
        """
        self.contestant = contestant
        # A file: nobody reads a pipe while a worker works, and a full one would stop it.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        command = [sys.executable, "-m", _MODULE, contestant.engine, str(contestant.path), str(threads)]
        self._process = subprocess.Popen(  # noqa: S603 - this package's own worker
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        assert self._process.stdout is not None  # noqa: S101
        self._asks, self._answers = self._process.stdin, self._process.stdout
        self.loaded = self._answer()

    def ask(self, job: str, draw: Draw) -> dict[str, Any]:
        """Has it do one job with one batch and returns its answer.

        Raises:
            WorkerError: If it dies of it.
        """
        try:
            self._asks.write(json.dumps({"job": job, "draw": asdict(draw)}) + "\n")
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
        return WorkerError(self.contestant.name, said[-1] if said else f"it ended with exit code {code}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
