"""speed.json: what was measured, by engine and workload."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from e5_onnx.machine.cpu import cpu_facts
from e5_onnx_perf.accuracy.accuracy_results import installed_versions
from e5_onnx_perf.accuracy.scores import cosines
from e5_onnx_perf.peers import PEERS
from e5_onnx_perf.speed.measure import Comparison, Measured, Timing, seconds_of_round, spread
from e5_onnx_perf.speed.workloads import Workload

_TOOLS: Final = (
    *("e5-onnx", "onnxruntime", "numpy", "tokenizers"),
    *(library for peer in PEERS.values() for library in peer.libraries),
)
_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_TORCH: Final = "torch"


def speed_results(
    found: Comparison, workloads: Sequence[Workload], *, threads: int, rounds: int, command: str
) -> dict[str, Any]:
    """The values of speed.json.

    Args:
        found: The measurements.
        workloads: The workloads, in order.
        threads: The number of threads of each engine.
        rounds: The number of rounds that were counted.
        command: The command that repeats it.
    """
    exact = _exact(found.engines)
    torch = next((engine for engine in found.engines if engine.spec.engine == _TORCH), None)
    return {
        "machine": {**machine(), "threads": threads, "rounds": rounds, "others_cpu": round(found.others, 3)},
        "results": [
            _row(engine, workload, torch=torch, exact=exact)
            for workload in workloads
            for engine in found.engines
        ],
        "memory": [_memory(engine) for engine in found.engines],
        "engines": [
            {
                "engine": engine.spec.name,
                "precision": engine.loaded["precision"],
                "setting": engine.loaded["setting"],
                "cosine_to_fp32": _agreement(engine, exact),
            }
            for engine in found.engines
        ],
        "absent": [{"engine": name, "reason": reason} for name, reason in found.absent.items()],
        "command": command,
    }


def machine() -> dict[str, Any]:
    """Facts of this machine that times depend on."""
    cpu = cpu_facts()
    return {
        "cpu": cpu.model,
        "features": list(cpu.features),
        "cpus": os.cpu_count(),
        "governor": _GOVERNOR.read_text("ascii").strip() if _GOVERNOR.is_file() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": installed_versions(_TOOLS),
    }


def _row(engine: Measured, workload: Workload, *, torch: Measured | None, exact: Measured) -> dict[str, Any]:
    timing = engine.timings[workload.name]
    seconds, tokens = seconds_of_round(timing), median(timing.tokens)
    singly = [1000 * second for own in timing.seconds for second in own]
    p50, p95, p99 = np.percentile(singly, [50, 95, 99]) if workload.timed_singly else (None, None, None)
    return {
        "engine": engine.spec.name,
        "precision": engine.loaded["precision"],
        "workload": workload.name,
        "tokens_per_s": round(tokens / seconds, 1),
        "texts_per_s": round(workload.texts / seconds, 2),
        "p50_ms": _rounded(p50),
        "p95_ms": _rounded(p95),
        "p99_ms": _rounded(p99),
        "cosine_to_fp32": _agreement(engine, exact),
        "ratio_to_torch": None if torch is None else _ratio(torch.timings[workload.name], timing),
        "spread": round(spread([sum(own) for own in timing.seconds]), 4),
        "cpu_s_per_1000_texts": round(1000 * median(timing.cpu_seconds) / workload.texts, 3),
    }


def _ratio(base: Timing, own: Timing) -> float:
    """How many times as fast: the median of the rounds' ratios, for a round's noise falls on both."""
    pairs = zip(base.seconds, own.seconds, strict=True)
    return round(float(median(sum(left) / sum(right) for left, right in pairs)), 3)


def _exact(engines: Sequence[Measured]) -> Measured:
    """The engine whose vectors are the truth: an fp32 folder, or torch, or the first."""
    ours = [engine for engine in engines if engine.loaded["precision"] == "fp32" and not engine.spec.is_peer]
    peers = [engine for engine in engines if engine.spec.engine == _TORCH]
    return next(iter([*ours, *peers, *engines]))


def _agreement(engine: Measured, exact: Measured) -> float:
    return round(float(cosines(engine.vectors, exact.vectors).min()), 6)


def _memory(engine: Measured) -> dict[str, Any]:
    held = engine.loaded["memory"]
    return {
        "engine": engine.spec.name,
        "import_s": round(engine.loaded["import_s"], 3),
        "load_s": round(engine.loaded["load_s"], 3),
        "libraries_mb": round(engine.loaded["libraries_mb"], 1),
        "resident_mb": round(held["resident_mb"], 1),
        "anonymous_mb": round(held["anonymous_mb"], 1),
        "peak_mb": round(engine.peak_mb, 1),
        "disk_mb": round(engine.loaded["disk_mb"], 1),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
