"""The other end of a worker's pipes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from e5_onnx_perf.engines import EngineName
from e5_onnx_perf.figures.workloads import Draw
from e5_onnx_perf.worker_process import WorkerProcess

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


class Worker(WorkerProcess):
    """A process with one loaded engine.

    Attributes:
        contestant: What it runs.
    """

    def __init__(self, contestant: Contestant, threads: int) -> None:
        """Starts it and waits until the engine is loaded.

        Raises:
            WorkerError: If it cannot be.
        """
        self.contestant = contestant
        arguments = (contestant.engine, str(contestant.path), str(threads))
        super().__init__(contestant.name, _MODULE, *arguments)

    def ask(self, job: str, draw: Draw) -> dict[str, Any]:
        """Has it do one job with one batch and returns its answer.

        Raises:
            WorkerError: If it dies of it.
        """
        return self.request({"job": job, "draw": asdict(draw)})
