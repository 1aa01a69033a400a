"""`e5-perf figures`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from e5_onnx.cpu import cpu_facts
from e5_onnx.threads import choose_threads
from e5_onnx_perf.figures.measure import Contestant, Figures, measure
from e5_onnx_perf.figures.workloads import WORKLOADS, Workload

TEXT: Final = """\
Measures model folders beside each other and beside torch: load, memory, latency, throughput.

Each engine has a process of its own; they take turns, workload by workload, and medians are reported. The
session is the graph alone; the embedder is the whole runtime with its tokenizer, for its load and memory."""

EXAMPLE: Final = "  e5-perf figures large-int8 large-fp32 --checkpoint seeded-large --rounds 9"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="a Hugging Face folder to run in torch, fp32")
    parser.add_argument("--no-embedder", action="store_true", help="the graphs alone")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="default: by CPU affinity and cgroup quota")
    parser.add_argument("--json", action="store_true")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    if parsed.rounds < 1:
        raise argparse.ArgumentTypeError("--rounds is at least 1")
    threads = choose_threads(parsed.threads).count
    contestants = [Contestant("session", folder) for folder in parsed.folders]
    if not parsed.no_embedder:
        contestants += [Contestant("embedder", folder) for folder in parsed.folders]
    if parsed.checkpoint is not None:
        contestants.append(Contestant("torch", parsed.checkpoint))
    figures = measure(contestants, threads=threads, rounds=parsed.rounds)
    sys.stdout.write(_as_json(figures, threads) if parsed.json else table(figures, threads))
    return 0


def table(figures: Sequence[Figures], threads: int) -> str:
    """The figures in Markdown; every number of a workload also as a multiple of the last row's speed."""
    heads = ["engine", "load s", "resident MB", "heap MB", "peak MB"]
    heads += [f"{work.name} {work.unit}" for work in WORKLOADS]
    lines = [f"{_machine()}, {threads} threads", "", _line(heads), _line(["---"] * len(heads))]
    for row in figures:
        cells = [row.name, f"{row.load_s:.2f}"]
        cells += [f"{value:.0f}" for value in (row.resident_mb, row.anonymous_mb, row.peak_mb)]
        lines.append(_line([*cells, *(_cell(row, figures[-1], work) for work in WORKLOADS)]))
    return "\n".join(lines) + "\n"


def _cell(row: Figures, base: Figures, workload: Workload) -> str:
    value, other = row.workloads[workload.name], base.workloads[workload.name]
    if workload.unit == "ms":
        return f"{value:.1f} ({other / value:.2f}x)"
    return f"{value:.0f} ({value / other:.2f}x)"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    cpu = cpu_facts()
    versions = f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}"
    return f"{cpu.model} ({' '.join(cpu.features)}), {versions}"


def _as_json(figures: Sequence[Figures], threads: int) -> str:
    values = {
        "machine": {**asdict(cpu_facts()), "threads": threads, "onnxruntime": onnxruntime.__version__},
        "results": [asdict(row) for row in figures],
    }
    return json.dumps(values) + "\n"
