"""speed.md: one row an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from e5_onnx_export.cards.accuracy import Values
from e5_onnx_export.cards.parts import table
from e5_onnx_perf.speed.speed_results import AGREES

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
    head = ["engine", "mean cosine", *(_head(by, name) for name in workloads)]
    head += ["import, s", "open, s", *(f"{name}, MB" for name in _MEGABYTES)]
    head.append("first vector, s: warm, cold")
    rows = []
    for engine in values["engines"]:
        name = engine["engine"]
        cells = [name, agreement(engine["cosine_mean"])]
        cells += [_cell(by[name, workload]) for workload in workloads]
        held, start = memory[name], starts.get(name)
        cells += [
            *(f"{held[key]:.2f}" for key in ("import_s", "load_s")),
            *(f"{held[key]:,.0f}" for key in _MEGABYTES.values()),
        ]
        cells.append("" if start is None else f"{start['warm_s']:.2f}, {start['cold_s']:.2f}")
        rows.append(tuple(cells))
    tables = [_standing(values), "", table(tuple(head), rows)]
    return "\n".join([*tables, "", *_notes(values)]) + "\n"


def agreement(cosine: float | None) -> str:
    """A cosine with fp32, in digits that tell .9995 from less; nothing where there are no vectors."""
    return "" if cosine is None else f"{cosine:.5f}"


def with_interval(row: Values) -> str:
    """A ratio and its 95% interval."""
    return f"{row['ratio']:.2f}x, {row['ratio_low']:.2f} to {row['ratio_high']:.2f}"


def _standing(values: Values) -> str:
    """The first folder against the fastest other engine that does the same work, by workload."""
    head = ("workload", "judged", "fastest other that agrees", "times as fast", "verdict",
            "faster, less exact", "of the bare integer product")  # fmt: skip
    rows = []
    for row in values["frontier"]:
        share = row["share_of_product"]
        against = (
            ("none", "", "") if row["rival"] is None else (row["rival"], with_interval(row), row["verdict"])
        )
        less = ", ".join(row["faster_less_exact"]) or "none"
        rows.append((row["workload"], row["judged"], *against, less, "" if share is None else f"{share:.0%}"))
    return table(head, rows)


def _head(by: Mapping[tuple[str, str], Values], workload: str) -> str:
    singly = any(row["p50_ms"] is not None for (_, name), row in by.items() if name == workload)
    return f"{workload}, ms p50 / p95" if singly else f"{workload}, tokens/s"


def _cell(row: Values) -> str:
    times = "" if row["engine"] == row["judged"] else f" ({with_interval(row)})"
    if row["p50_ms"] is not None:
        return f"{row['p50_ms']:.1f} / {row['p95_ms']:.1f}{times}"
    return f"{row['tokens_per_s']:,.0f}{times}"


def _notes(values: Values) -> list[str]:
    machine = values["machine"]
    lines = [
        f"{machine['cpu']} ({' '.join(machine['features'])}), {machine['threads']} threads, "
        f"{machine['rounds']} rounds; other programs took {machine['others_cpu']:.0%} of the CPU time. In "
        "brackets how many times as fast the first folder is, in the mode that is judged on that workload: "
        "the median of the rounds' ratios and its 95% bootstrap interval. It is ahead where the interval "
        f"lies above 1. An engine agrees from a mean cosine with fp32 of {AGREES} on that workload; the "
        "column has the mean of the workload where it is lowest.",
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
    lines += [
        f"- {engine['engine']}: {engine['setting']}, {engine['tokenizer']}; {engine['version']}"
        for engine in values["engines"]
    ]
    lines += [f"- {row['engine']} is absent: {row['reason']}" for row in values["absent"]]
    return ["\n".join(lines), "", f"`{values['command']}`"]
