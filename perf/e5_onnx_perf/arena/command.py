"""`e5-perf arena`: memory over many batches of mixed lengths."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx import Embedder
from e5_onnx_perf.process_memory import Memory, memory

TEXT: Final = """\
Embeds many calls of mixed lengths, 4 tokens to all that the model takes, and watches the process's memory.

onnxruntime's arena keeps what the largest batch needed. What is asked here is whether it keeps growing after
that: the last half of the calls must not raise the heap's peak by more than 5% over the first half's. Mapped
weights count as resident once they were read, and are no heap."""

EXAMPLE: Final = "  e5-perf arena e5-small --batches 200"

_SHORTEST: Final = 4
_TEXTS: Final = 24
_ALLOWED: Final = 1.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--batches", type=int, default=200, help="calls (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--json", action="store_true")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command; 1 if memory ratchets."""
    if parsed.batches < 2:  # noqa: PLR2004 - two halves
        raise argparse.ArgumentTypeError("--batches is at least 2")
    if parsed.seed < 0:
        raise argparse.ArgumentTypeError("--seed is at least 0")
    held = watch(parsed.folder, parsed.batches, parsed.seed)
    facts = judge([now.anonymous_mb for now in held])
    sys.stdout.write(json.dumps(facts) + "\n" if parsed.json else _table(held, facts))
    return int(bool(facts["ratchets"]))


def watch(folder: Path, batches: int, seed: int) -> list[Memory]:
    """Returns what the process holds after each call."""
    generator = np.random.default_rng(seed)
    held = []
    with Embedder(folder, overflow="truncate") as model:
        for _ in range(batches):
            longest = int(generator.integers(_SHORTEST, model.max_tokens + 1))
            # A word is a token, and two more are put around them.
            words = generator.integers(_SHORTEST - 2, longest - 1, int(generator.integers(1, _TEXTS + 1)))
            model.embed([" ".join(["word"] * int(count)) for count in words])
            held.append(memory())
    return held


def judge(megabytes: Sequence[float]) -> dict[str, float | bool]:
    """Compares the peaks of the two halves."""
    half = len(megabytes) // 2
    first, second = max(megabytes[:half]), max(megabytes[half:])
    return {
        "batches": len(megabytes),
        "first_half_peak_mb": round(first, 1),
        "second_half_peak_mb": round(second, 1),
        "growth": round(second / first, 4),
        "ratchets": second / first > _ALLOWED,
    }


def _table(held: Sequence[Memory], facts: Mapping[str, float | bool]) -> str:
    tenth = -(-len(held) // 10)
    lines = ["| calls | peak heap MB | peak resident MB |", "|---|---|---|"]
    for start in range(0, len(held), tenth):
        part = held[start : start + tenth]
        heap, resident = max(now.anonymous_mb for now in part), max(now.resident_mb for now in part)
        lines.append(f"| {start + 1} to {start + len(part)} | {heap:.0f} | {resident:.0f} |")
    verdict = "grows" if facts["ratchets"] else "does not grow"
    lines.append(
        f"\nMemory {verdict}: the heap's peak in the second half is {facts['growth']} times the first's."
    )
    return "\n".join(lines) + "\n"
