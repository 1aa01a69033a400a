"""speed.md: one row an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from e5_onnx_export.cards.accuracy import Values
from e5_onnx_export.cards.parts import table

_MEGABYTES: Final = {
    "libraries": "libraries_mb",
    "resident": "resident_mb",
    "heap": "anonymous_mb",
    "peak": "peak_mb",
    "disk": "disk_mb",
}


def speed_table(values: Values) -> str:
    """The measurements in Markdown: throughput, latency where it was timed singly, memory, start."""
    workloads = list(dict.fromkeys(row["workload"] for row in values["results"]))
    by = {(row["engine"], row["workload"]): row for row in values["results"]}
    memory = {row["engine"]: row for row in values["memory"]}
    starts = {row["engine"]: row for row in values["cold_start"]}
    head = ["engine", "cosine", *(_head(by, name) for name in workloads)]
    head += ["import, s", "open, s", *(f"{name}, MB" for name in _MEGABYTES)]
    head.append("first vector, s: warm, cold")
    rows = []
    for engine in values["engines"]:
        name = engine["engine"]
        cells = [name, f"{engine['cosine_to_fp32']:.4f}"]
        cells += [_cell(by[name, workload]) for workload in workloads]
        held, start = memory[name], starts.get(name)
        cells += [
            *(f"{held[key]:.2f}" for key in ("import_s", "load_s")),
            *(f"{held[key]:,.0f}" for key in _MEGABYTES.values()),
        ]
        cells.append("" if start is None else f"{start['warm_s']:.2f}, {start['cold_s']:.2f}")
        rows.append(tuple(cells))
    return "\n".join([table(tuple(head), rows), "", *_notes(values)]) + "\n"


def _head(by: Mapping[tuple[str, str], Values], workload: str) -> str:
    singly = any(row["p50_ms"] is not None for (_, name), row in by.items() if name == workload)
    return f"{workload}, ms p50 / p95" if singly else f"{workload}, tokens/s"


def _cell(row: Values) -> str:
    times = "" if row["ratio_to_torch"] is None else f" ({row['ratio_to_torch']:.2f}x)"
    if row["p50_ms"] is not None:
        return f"{row['p50_ms']:.1f} / {row['p95_ms']:.1f}{times}"
    return f"{row['tokens_per_s']:,.0f} ±{row['spread']:.0%}{times}"


def _notes(values: Values) -> list[str]:
    machine = values["machine"]
    lines = [
        f"{machine['cpu']} ({' '.join(machine['features'])}), {machine['threads']} threads, "
        f"{machine['rounds']} rounds; other programs took {machine['others_cpu']:.0%} of the CPU time. In "
        "brackets how many times as fast as torch; cosine is the lowest with fp32.",
    ]
    lines += [
        f"- {row['cpus']} {row['way']}: {row['tokens_per_s']:,.0f} tokens/s" for row in values["scaling"]
    ]
    lines += [
        f"- {row['processes']} process{'es' if row['processes'] > 1 else ''}, {row['way']}: "
        f"{row['pss_mb']:,.0f} MB together (PSS), {row['anonymous_mb']:,.0f} MB of it heap, "
        f"loaded in {row['load_s']:.2f} s"
        for row in values["sharing"]
    ]
    lines += [f"- {engine['engine']}: {engine['setting']}" for engine in values["engines"]]
    lines += [f"- {row['engine']} is absent: {row['reason']}" for row in values["absent"]]
    return ["\n".join(lines), "", f"`{values['command']}`"]
