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

from e5_onnx.machine.cpu import cpu_facts
from e5_onnx.machine.threads import choose_threads
from e5_onnx.silent import onnxruntime
from e5_onnx_perf.figures.measure import Comparison, Figures, measure
from e5_onnx_perf.figures.worker_process import Contestant
from e5_onnx_perf.figures.workloads import WORKLOADS, Workload

TEXT: Final = """\
Measures model folders beside each other and beside torch: load, memory, latency, throughput.

Each engine has a process of its own; they take turns, workload by workload, and medians are reported. The
session is the graph alone; the embedder is the whole runtime with its tokenizer, for its load and memory.
Compare figures of one run only, on a machine that does nothing else."""

EXAMPLE: Final = "  e5-perf figures large-int8 large-fp32 --checkpoint seeded-large --rounds 9"

# From here on other programs decide more than the engines do.
_BUSY: Final = 0.05


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
    if parsed.checkpoint is not None and not parsed.checkpoint.is_dir():
        raise argparse.ArgumentTypeError(f"--checkpoint: there is no folder {parsed.checkpoint}")
    threads = choose_threads(parsed.threads).count
    contestants = [Contestant("session", folder) for folder in parsed.folders]
    if not parsed.no_embedder:
        contestants += [Contestant("embedder", folder) for folder in parsed.folders]
    if parsed.checkpoint is not None:
        contestants.append(Contestant("torch", parsed.checkpoint))
    found = measure(contestants, threads=threads, rounds=parsed.rounds)
    sys.stdout.write(_as_json(found, threads) if parsed.json else table(found, threads))
    return 0


def table(found: Comparison, threads: int) -> str:
    """The figures in Markdown; those of a workload with their spread and as a multiple of the last row's."""
    heads = ["engine", "import s", "libraries MB", "load s", "resident MB", "heap MB", "peak MB", "cosine"]
    heads += [f"{work.name} {work.unit}" for work in WORKLOADS]
    lines = [f"{_machine()}, {threads} threads", "", _line(heads), _line(["---"] * len(heads))]
    for row in found.rows:
        megabytes = [f"{value:.0f}" for value in (row.resident_mb, row.anonymous_mb, row.peak_mb)]
        cosine = "-" if row.cosine_min is None else f"{row.cosine_min:.4f}"
        cells = [row.name, f"{row.import_s:.2f}", f"{row.libraries_mb:.0f}", f"{row.load_s:.2f}"]
        cells += [*megabytes, cosine, *(_cell(row, found.rows[-1], work) for work in WORKLOADS)]
        lines.append(_line(cells))
    return "\n".join([*lines, "", *_legend(found)]) + "\n"


def _cell(row: Figures, base: Figures, workload: Workload) -> str:
    value, other = row.workloads[workload.name], base.workloads[workload.name]
    times = other / value if workload.unit == "ms" else value / other
    digits = 1 if workload.unit == "ms" else 0
    around = f" ±{row.spread[workload.name]:.0%}" if workload.name in row.spread else ""
    return f"{value:.{digits}f}{around} ({times:.2f}x)"


def _legend(found: Comparison) -> list[str]:
    lines = [
        "Medians, half the distance between the quartiles, and in brackets how many times as fast as the",
        "last row. Memory is what the model adds to the libraries' own; cosine is the least with the last",
        "row's vectors.",
        f"Other programs took {found.others:.0%} of the machine's CPU time.",
    ]
    if found.others > _BUSY:
        lines[-1] += " That is too much for these times to be repeated: measure again on a quiet machine."
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    cpu = cpu_facts()
    versions = f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}"
    return f"{cpu.model} ({' '.join(cpu.features)}), {versions}"


def _as_json(found: Comparison, threads: int) -> str:
    values = {
        "machine": {**asdict(cpu_facts()), "threads": threads, "onnxruntime": onnxruntime.__version__},
        "others_cpu": found.others,
        "results": [asdict(row) for row in found.rows],
    }
    return json.dumps(values) + "\n"
