"""How throughput grows with threads, with callers of one session, and with processes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from e5_onnx_perf.speed.engine import EngineSpec, OwnName
from e5_onnx_perf.speed.measure import start_worker
from e5_onnx_perf.worker_process import WorkerProcess

_COUNTS: Final = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    engine: OwnName
    many_processes: bool = False


_WAYS: Final = (_Way("threads", "embedder"), _Way("callers", "callers"), _Way("processes", "embedder", True))


def measure_scaling(
    spec: EngineSpec, requests: Sequence[Sequence[str]], *, tokens: int, rounds: int
) -> list[dict[str, Any]]:
    """Runs one workload with 1, 2, 4 ... CPUs, in three ways that share them.

    Args:
        spec: A model folder's engine.
        requests: The workload.
        tokens: The number of tokens of all of it.
        rounds: The number of rounds of each, in turn.

    Returns:
        Rows of `way` (`threads` of one batch, `callers` with a batch each, `processes` of one thread), `cpus`
        and `tokens_per_s`; N processes embed the workload N times.
    """
    counts = [count for count in _COUNTS if count <= (os.cpu_count() or 1)]
    return [row for cpus in counts for row in _at(cpus, spec, requests, tokens=tokens, rounds=rounds)]


def _at(
    cpus: int, spec: EngineSpec, requests: Sequence[Sequence[str]], *, tokens: int, rounds: int
) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        started = [
            [stack.enter_context(_worker(spec, way, cpus)) for _ in range(cpus if way.many_processes else 1)]
            for way in _WAYS
        ]
        seconds: list[list[float]] = [[] for _ in _WAYS]
        for _ in range(rounds + 1):
            for own, workers in zip(seconds, started, strict=True):
                own.append(_together(workers, requests))
    # The first round of each is not counted.
    return [
        {"way": way.name, "cpus": cpus, "tokens_per_s": round(tokens * len(workers) / median(own[1:]), 1)}
        for way, workers, own in zip(_WAYS, started, seconds, strict=True)
    ]


def _worker(spec: EngineSpec, way: _Way, cpus: int) -> WorkerProcess:
    return start_worker(replace(spec, engine=way.engine, threads=1 if way.many_processes else cpus))


def _together(workers: Sequence[WorkerProcess], requests: Sequence[Sequence[str]]) -> float:
    """Seconds until all have done all."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(lambda worker: worker.request({"job": "time", "requests": requests}), workers))
    return time.perf_counter() - started
