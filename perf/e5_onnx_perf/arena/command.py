"""`e5-perf arena`: memory over many batches of mixed lengths."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx import Embedder
from e5_onnx_perf.process_memory import memory

TEXT: Final = """\
Embeds many calls of mixed lengths, 4 to 512 tokens, and watches the process's memory.

onnxruntime's arena keeps what the largest batch needed. What is asked here is whether it keeps growing after
that: the last half of the calls must not raise the peak by more than 5% over the first half's."""

EXAMPLE: Final = "  e5-perf arena e5-small --batches 200"

_LONGEST: Final = 480
_TEXTS: Final = 24
_ALLOWED: Final = 1.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--batches", type=int, default=200, help="calls (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command; 1 if memory ratchets."""
    if parsed.batches < 2:  # noqa: PLR2004 - two halves
        raise argparse.ArgumentTypeError("--batches is at least 2")
    resident = watch(parsed.folder, parsed.batches, parsed.seed)
    half = len(resident) // 2
    growth = max(resident[half:]) / max(resident[:half])
    facts = {
        "batches": len(resident),
        "first_half_peak_mb": round(max(resident[:half]), 1),
        "second_half_peak_mb": round(max(resident[half:]), 1),
        "growth": round(growth, 4),
        "ratchets": growth > _ALLOWED,
    }
    sys.stdout.write(json.dumps(facts) + "\n" if parsed.json else _table(resident, facts))
    return int(growth > _ALLOWED)


def watch(folder: Path, batches: int, seed: int) -> list[float]:
    """Returns the resident memory after each call, in 10^6 bytes."""
    generator = np.random.default_rng(seed)
    resident = []
    with Embedder(folder, overflow="truncate") as model:
        for _ in range(batches):
            longest = int(generator.integers(4, _LONGEST))
            lengths = generator.integers(1, longest, int(generator.integers(1, _TEXTS)))
            model.embed_documents([" ".join(["word"] * int(length)) for length in lengths])
            resident.append(memory().resident_mb)
    return resident


def _table(resident: list[float], facts: Mapping[str, object]) -> str:
    tenth = max(1, len(resident) // 10)
    lines = ["| calls | peak resident MB |", "|---|---|"]
    for start in range(0, len(resident), tenth):
        part = resident[start : start + tenth]
        lines.append(f"| {start + 1} to {start + len(part)} | {max(part):.0f} |")
    verdict = "grows" if facts["ratchets"] else "does not grow"
    lines.append(f"\nMemory {verdict}: second half's peak is {facts['growth']} times the first half's.")
    return "\n".join(lines) + "\n"
