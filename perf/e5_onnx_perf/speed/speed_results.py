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
from e5_onnx_perf.speed.measure import Comparison, Measured, spread
from e5_onnx_perf.speed.ratios import speed_ratio
from e5_onnx_perf.speed.workloads import Workload

_TOOLS: Final = (
    *("e5-onnx", "onnxruntime", "numpy", "tokenizers"),
    *(library for peer in PEERS.values() for library in peer.libraries),
)
_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_TORCH: Final = "torch"
_OURS: Final = ("e5-onnx", "onnxruntime")
_RATIO: Final = ("ratio", "ratio_low", "ratio_high", "verdict")
_BUSY: Final = 0.2  # share of the CPU time; such a load was seen to slow engines by very different factors
AGREES: Final = 0.9995
"""Mean cosine with fp32 from which an engine counts as doing the same work."""


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
    rows = [
        _row(engine, workload, found=found, exact=exact) for workload in workloads for engine in found.engines
    ]
    return {
        "machine": {**machine(), "threads": threads, "rounds": rounds, "others_cpu": round(found.others, 3)},
        "results": rows,
        "frontier": [_frontier(found.engines, workload, rows) for workload in workloads],
        "memory": [_memory(engine) for engine in found.engines],
        "engines": [
            {
                "engine": engine.spec.name,
                "precision": engine.loaded["precision"],
                **_facts(engine),
                "cosine_to_fp32": _least(engine, "cosine_to_fp32", rows),
                "cosine_mean": _least(engine, "cosine_mean", rows),
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


def _row(engine: Measured, workload: Workload, *, found: Comparison, exact: Measured) -> dict[str, Any]:
    timing = engine.timings[workload.name]
    tokens = timing.tokens_per_s
    singly = [1000 * second for own in timing.seconds for second in own]
    p50, p95, p99 = np.percentile(singly, [50, 95, 99]) if workload.timed_singly else (None, None, None)
    engines = found.engines
    judged = _judged(engines, workload)
    ratio = speed_ratio(judged.timings[workload.name].rounds, timing.rounds)
    return {
        "engine": engine.spec.name,
        "precision": engine.loaded["precision"],
        "workload": workload.name,
        "tokens_per_s": round(tokens, 1),
        "texts_per_s": round(workload.texts / median(timing.rounds), 2),
        "p50_ms": _rounded(p50),
        "p95_ms": _rounded(p95),
        "p99_ms": _rounded(p99),
        **_agreement(engine, exact, workload.name),
        "ratio_to_torch": _times(engine, _first(engines, _TORCH), workload.name),
        "spread": round(spread(timing.rounds), 4),
        "cpu_s_per_1000_texts": round(1000 * median(timing.cpu_seconds) / workload.texts, 3),
        "threads": engine.spec.threads,
        **_facts(engine),
        "judged": judged.spec.name,
        "ratio": round(ratio.median, 3),
        "ratio_low": round(ratio.low, 3),
        "ratio_high": round(ratio.high, 3),
        "verdict": "busy machine" if found.others > _BUSY else ratio.verdict,
        "share_of_product": _times(engine, _first(engines, "product"), workload.name),
    }


def _facts(engine: Measured) -> dict[str, str]:
    libraries = PEERS[engine.spec.peer].libraries if engine.spec.is_peer else _OURS
    versions = installed_versions(libraries)
    return {
        "version": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "setting": engine.loaded["setting"],
        "tokenizer": engine.loaded["tokenizer"],
    }


def _judged(engines: Sequence[Measured], workload: Workload) -> Measured:
    """The engine that others are compared with: the first folder in the mode that is for such requests."""
    return _first(engines, workload.mode) or engines[0]


def _first(engines: Sequence[Measured], name: str) -> Measured | None:
    return next((engine for engine in engines if engine.spec.engine == name), None)


def _times(own: Measured | None, other: Measured | None, workload: str) -> float | None:
    """How many times as fast `own` is, by the median of the rounds' ratios."""
    if own is None or other is None:
        return None
    pairs = zip(own.timings[workload].rounds, other.timings[workload].rounds, strict=True)
    return round(float(median(right / left for left, right in pairs)), 3)


def _frontier(
    engines: Sequence[Measured], workload: Workload, rows: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The engines that go from text to vector, by whether their vectors agree; the fastest first."""
    whole = {engine.spec.name for engine in engines if engine.spec.embeds}
    theirs = {engine.spec.name for engine in engines if engine.spec.is_peer}
    own = [row for row in rows if row["workload"] == workload.name and row["engine"] in whole]
    own.sort(key=lambda row: -row["tokens_per_s"])
    agree = [row for row in own if row["cosine_mean"] >= AGREES]
    best = agree[0]["tokens_per_s"] if agree else 0
    rival = next((row for row in agree if row["engine"] in theirs), None)
    return {
        "workload": workload.name,
        "judged": _judged(engines, workload).spec.name,
        "agree": [row["engine"] for row in agree],
        "faster_less_exact": [
            row["engine"] for row in own if row["cosine_mean"] < AGREES and row["tokens_per_s"] > best
        ],
        "rival": None if rival is None else rival["engine"],
        **{key: None if rival is None else rival[key] for key in _RATIO},
        "share_of_product": next(
            row["share_of_product"] for row in own if row["engine"] == _judged(engines, workload).spec.name
        ),
    }


def _exact(engines: Sequence[Measured]) -> Measured:
    """The engine whose vectors are the truth: an fp32 folder, or torch, or the first."""
    ours = [
        engine
        for engine in engines
        if engine.loaded["precision"] == "fp32" and engine.spec.engine == "embedder"
    ]
    peers = [engine for engine in engines if engine.spec.engine == _TORCH]
    whole = [engine for engine in engines if engine.spec.embeds]
    return next(iter([*ours, *peers, *whole]))


def _agreement(engine: Measured, exact: Measured, workload: str) -> dict[str, float | None]:
    vectors = engine.vectors[workload]
    if not vectors.size:
        return {"cosine_to_fp32": None, "cosine_mean": None}
    found = cosines(vectors, exact.vectors[workload])
    return {"cosine_to_fp32": round(float(found.min()), 6), "cosine_mean": round(float(found.mean()), 6)}


def _least(engine: Measured, key: str, rows: Sequence[dict[str, Any]]) -> float | None:
    values = [row[key] for row in rows if row["engine"] == engine.spec.name]
    return None if None in values else float(min(values))


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
