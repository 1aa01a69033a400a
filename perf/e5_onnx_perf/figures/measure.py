"""Workers, asked in turn: whatever the machine does to one round, it does to every engine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from e5_onnx_perf.figures.worker_process import Contestant, Worker
from e5_onnx_perf.figures.workloads import WORKLOADS, Draw
from e5_onnx_perf.machine_load import busy_seconds, share_of_others

_PEAK_WORKLOAD: Final = "8x256"
_COMPARED_WORKLOAD: Final = "16x128 ragged"

Seconds = list[dict[str, list[float]]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one contestant; memory in 10^6 bytes.

    Attributes:
        name: Of the contestant.
        import_s: Seconds to import the engine's libraries.
        libraries_mb: Resident memory with Python and these libraries, before loading.
        load_s: Seconds to load, with the files in the page cache.
        resident_mb: What loading adds.
        anonymous_mb: The part of it that is heap.
        peak_mb: What it adds while a batch of 8x256 runs, at most, after all workloads have been run.
        cosine_min: Least cosine with the last contestant's vectors of a ragged batch; None where the two
            have not the same number of components.
        workloads: Median milliseconds or tokens a second by workload.
        spread: Half the distance of the quartiles, relative to the median, by workload; empty after one
            round.
    """

    name: str
    import_s: float
    libraries_mb: float
    load_s: float
    resident_mb: float
    anonymous_mb: float
    peak_mb: float
    cosine_min: float | None
    workloads: dict[str, float]
    spread: dict[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was measured of all contestants.

    Attributes:
        rows: One a contestant, in their order.
        others: Share of the machine's CPU time that went to other programs while times were taken.
    """

    rows: list[Figures]
    others: float


def measure(contestants: Sequence[Contestant], *, threads: int, rounds: int) -> Comparison:
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
        vocabulary = min(worker.loaded["vocabulary"] for worker in workers)
        _take_turns(workers, range(1), vocabulary)
        started, busy = time.perf_counter(), busy_seconds()
        seconds, ours = _take_turns(workers, range(1, rounds + 1), vocabulary)
        others = share_of_others(busy=busy_seconds() - busy, ours=ours, elapsed=time.perf_counter() - started)
        largest = Draw(_PEAK_WORKLOAD, 0, vocabulary)
        peaks = [worker.ask("peak", largest)["memory"]["peak_mb"] for worker in workers]
        found = zip(workers, seconds, peaks, _agreement(workers, vocabulary), strict=True)
        rows = [_figures(worker, taken, peak_mb=peak, cosine=cosine) for worker, taken, peak, cosine in found]
    return Comparison(rows, others)


def _take_turns(workers: Sequence[Worker], seeds: Iterable[int], vocabulary: int) -> tuple[Seconds, float]:
    """Seconds of each round by worker and workload, and the CPU seconds of all."""
    seconds: Seconds = [{workload.name: [] for workload in WORKLOADS} for _ in workers]
    ours = -time.process_time()
    for seed in seeds:
        for workload in WORKLOADS:
            for worker, taken in zip(workers, seconds, strict=True):
                answer = worker.ask("time", Draw(workload.name, seed, vocabulary))
                taken[workload.name].append(answer["seconds"])
                ours += answer["cpu_seconds"]
    return seconds, ours + time.process_time()


def _agreement(workers: Sequence[Worker], vocabulary: int) -> list[float | None]:
    """Engines that do not compute the same are not to be compared, however fast they are."""
    draw = Draw(_COMPARED_WORKLOAD, 0, vocabulary)
    vectors = [np.array(worker.ask("embed", draw)["vectors"]) for worker in workers]
    last = vectors[-1]
    return [
        float((found * last).sum(axis=1).min()) if found.shape == last.shape else None for found in vectors
    ]


def _figures(
    worker: Worker, seconds: dict[str, list[float]], *, peak_mb: float, cosine: float | None
) -> Figures:
    before, after = worker.loaded["before"], worker.loaded["memory"]
    return Figures(
        name=worker.contestant.name,
        import_s=worker.loaded["import_s"],
        libraries_mb=before["resident_mb"],
        load_s=worker.loaded["load_s"],
        resident_mb=after["resident_mb"] - before["resident_mb"],
        anonymous_mb=after["anonymous_mb"] - before["anonymous_mb"],
        peak_mb=peak_mb - before["resident_mb"],
        cosine_min=cosine,
        workloads={work.name: work.figure(median(seconds[work.name])) for work in WORKLOADS},
        spread={name: spread(taken) for name, taken in seconds.items() if len(taken) > 1},
    )


def spread(values: Sequence[float]) -> float:
    """Half the distance between the quartiles, relative to the median."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float((high - low) / 2 / median(values))
