"""What several processes of one model hold together, with and without the cache of packed weights."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from typing import Any, Final

from e5_onnx_perf.speed.engine import EngineSpec, OwnName
from e5_onnx_perf.speed.measure import start_worker

_WAYS: Final[dict[str, OwnName]] = {"own copies": "embedder", "shared cache": "cached"}
_PROCESSES: Final = (1, 2)


def measure_sharing(spec: EngineSpec, requests: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Starts one process and two, has each embed something, and adds up what they hold.

    Args:
        spec: A model folder's engine.
        requests: The first requests of each, so that every weight has been touched.

    Returns:
        Rows of `way` (`own copies` or `shared cache`), `processes`, `load_s` (the median), and sums in 10^6
        bytes: `pss_mb`, which counts a shared page once, `resident_mb`, which counts it for each process, and
        `anonymous_mb`, the heaps.

    Raises:
        WorkerError: If a process fails.
    """
    # Once, so that the cache is there; it is made only if it is not.
    with start_worker(replace(spec, engine="cached")):
        pass
    return [
        {"way": way, "processes": count, **_together(spec, engine, requests, count=count)}
        for way, engine in _WAYS.items()
        for count in _PROCESSES
    ]


def _together(
    spec: EngineSpec, engine: OwnName, requests: Sequence[Sequence[str]], *, count: int
) -> dict[str, float]:
    with ExitStack() as stack:
        workers = [stack.enter_context(start_worker(replace(spec, engine=engine))) for _ in range(count)]
        for worker in workers:
            worker.request({"job": "held", "requests": requests})
        # Asked once more when all have all: a page becomes a shared one when the second process maps it.
        held = [worker.request({"job": "held", "requests": []}) for worker in workers]
    return {
        "load_s": round(median(worker.loaded["load_s"] for worker in workers), 3),
        "pss_mb": round(sum(row["pss_mb"] for row in held), 1),
        "resident_mb": round(sum(row["memory"]["resident_mb"] for row in held), 1),
        "anonymous_mb": round(sum(row["memory"]["anonymous_mb"] for row in held), 1),
    }
