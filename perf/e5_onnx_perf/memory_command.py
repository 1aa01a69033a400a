"""`e5-perf memory`: memory over many batches of mixed lengths."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx import Embedder
from e5_onnx_export.cards.parts import table
from e5_onnx_perf.bulk_runs.command_line import require_at_least
from e5_onnx_perf.process_memory import Memory, memory

TEXT: Final = """\
Embeds many calls of mixed lengths, 4 tokens to all that the model takes, and watches the process's memory.

onnxruntime's arena keeps what the largest batch needed. What is asked here is whether it keeps growing after
that: once a hundred texts are embedded, no call may raise the heap's peak by more than 5%. Mapped weights
count as resident once they were read, and are no heap."""

EXAMPLE: Final = "  e5-perf memory e5-small --batches 200"

_SHORTEST: Final = 4
_TEXTS: Final = 24
_ALLOWED: Final = 1.05
_SETTLING: Final = 100  # texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a model folder")
    parser.add_argument("--batches", type=int, default=200, help="number of calls (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the lengths (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON (default: text)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command; 1 if memory ratchets."""
    require_at_least(parsed, {"batches": 2, "seed": 0})
    held = watch_growth(parsed.folder, parsed.batches, parsed.seed)
    facts = judge_growth(held)
    sys.stdout.write(json.dumps(facts) + "\n" if parsed.json else _table(held, facts))
    return int(bool(facts["ratchets"]))


@dataclass(frozen=True, slots=True)
class Held:
    """The memory of the process after a call.

    Attributes:
        texts: Embedded so far.
        memory: Then.
    """

    texts: int
    memory: Memory


def watch_growth(folder: Path, batches: int, seed: int) -> list[Held]:
    """Returns what the process holds after each call."""
    generator = np.random.default_rng(seed)
    held, texts = [], 0
    with Embedder(folder, overflow="truncate") as model:
        for _ in range(batches):
            longest = int(generator.integers(_SHORTEST, model.max_tokens + 1))
            # A word is a token, and two more are put around them.
            words = generator.integers(_SHORTEST - 2, longest - 1, int(generator.integers(1, _TEXTS + 1)))
            model.embed_documents([" ".join(["word"] * int(count)) for count in words])
            texts += len(words)
            held.append(Held(texts, memory()))
    return held


def judge_growth(held: Sequence[Held]) -> dict[str, float | bool]:
    """Compares the peak of the first hundred texts with that of all others."""
    settled = (number for number, now in enumerate(held, 1) if now.texts >= _SETTLING)
    calls = min(next(settled, len(held)), len(held) - 1)
    first = max(now.memory.anonymous_mb for now in held[:calls])
    rest = max(now.memory.anonymous_mb for now in held[calls:])
    return {
        "batches": len(held),
        "texts": held[-1].texts,
        "first_peak_mb": round(first, 1),
        "later_peak_mb": round(rest, 1),
        "growth": round(rest / first, 4),
        "ratchets": rest / first > _ALLOWED,
    }


def _table(held: Sequence[Held], facts: Mapping[str, float | bool]) -> str:
    tenth = -(-len(held) // 10)
    rows = []
    for start in range(0, len(held), tenth):
        part = held[start : start + tenth]
        heap = max(now.memory.anonymous_mb for now in part)
        resident = max(now.memory.resident_mb for now in part)
        rows.append((f"{start + 1} to {start + len(part)}", f"{heap:.0f}", f"{resident:.0f}"))
    verdict = "grows" if facts["ratchets"] else "does not grow"
    return (
        f"{table(('calls', 'peak heap MB', 'peak resident MB'), rows)}\n\nMemory {verdict}: over "
        f"{facts['texts']:,} texts the heap's peak is {facts['growth']} times that of the first "
        f"{_SETTLING}.\n"
    )
