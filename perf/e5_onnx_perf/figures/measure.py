"""Workers, asked in turn: whatever the machine does to one round, it does to every engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Final, Self

from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.figures.workloads import WORKLOADS

_PEAK_WORKLOAD: Final = "8x256"


@dataclass(frozen=True, slots=True)
class Contestant:
    """An engine on a path.

    Attributes:
        engine: A name of `engines.ENGINES`.
        path: A model folder or a checkpoint.
    """

    engine: str
    path: Path

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.engine} {self.path.name}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one contestant; memory in 10^6 bytes.

    Attributes:
        name: Of the contestant.
        load_s: Seconds to load, with the files in the page cache.
        resident_mb: After loading, less what the process held before.
        anonymous_mb: The part of it that is heap.
        peak_mb: Largest resident memory during a batch of 8x256, less what the process held before.
        workloads: Median milliseconds or tokens a second by workload.
        spread: Half the distance of the quartiles, relative to the median, by workload.
    """

    name: str
    load_s: float
    resident_mb: float
    anonymous_mb: float
    peak_mb: float
    workloads: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)


class Worker:
    """A process with one loaded engine."""

    def __init__(self, contestant: Contestant, threads: int) -> None:
        """Starts it and waits until the engine is loaded.

        Raises:
            WorkerError: If it cannot be.
        """
        self.contestant = contestant
        command = [sys.executable, "-m", "e5_onnx_perf.figures.worker", contestant.engine]
        self._process = subprocess.Popen(  # noqa: S603 - this package's own worker
            [*command, str(contestant.path), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.loaded = self._answer()

    def ask(self, job: str, workload: str, seed: int) -> dict[str, Any]:
        """Has it do one job and returns its answer."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.write(json.dumps({"job": job, "workload": workload, "seed": seed}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            raise WorkerError(self.contestant.name, errors.strip().splitlines()[-1] if errors else "it died")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def measure(contestants: Sequence[Contestant], *, threads: int, rounds: int) -> list[Figures]:
    """Loads every contestant, then has them take turns.

    Args:
        contestants: What to measure; all stay loaded, only one computes at a time.
        threads: Of each.
        rounds: How often each workload is run; one more is run first and not counted.

    Raises:
        WorkerError: If one fails.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(contestant, threads)) for contestant in contestants]
        # Seconds by worker and workload.
        seconds: list[dict[str, list[float]]] = [{} for _ in workers]
        for seed in range(rounds + 1):
            for workload in WORKLOADS:
                for worker, taken in zip(workers, seconds, strict=True):
                    answer = worker.ask("time", workload.name, seed)
                    if seed:
                        taken.setdefault(workload.name, []).append(answer["seconds"])
        peaks = [worker.ask("peak", _PEAK_WORKLOAD, 0)["memory"]["peak_mb"] for worker in workers]
        rows = zip(workers, seconds, peaks, strict=True)
        return [_figures(worker, taken, peak) for worker, taken, peak in rows]


def _figures(worker: Worker, seconds: dict[str, list[float]], peak: float) -> Figures:
    before, after = worker.loaded["before"], worker.loaded["memory"]
    return Figures(
        name=worker.contestant.name,
        load_s=worker.loaded["load_s"],
        resident_mb=after["resident_mb"] - before["resident_mb"],
        anonymous_mb=after["anonymous_mb"] - before["anonymous_mb"],
        peak_mb=peak - before["resident_mb"],
        workloads={work.name: work.figure(median(seconds[work.name])) for work in WORKLOADS},
        spread={name: _spread(taken) for name, taken in seconds.items()},
    )


def _spread(taken: list[float]) -> float:
    ordered = sorted(taken)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / 2 / median(ordered)
