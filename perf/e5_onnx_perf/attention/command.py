"""`e5-perf attention-operators`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import OptionError
from e5_onnx.machine.threads import choose_threads
from e5_onnx.silent import onnxruntime
from e5_onnx_export.arrays import Floats
from e5_onnx_export.cards.parts import table
from e5_onnx_perf.attention.operators import MASKLESS, OPERATORS, open_operator

TEXT: Final = """\
Times the operators that could do the graph's attention, by the shape of the batch, in turns.

The attention of one layer runs alone, on random values. Operators without a mask are left out where texts
differ in length: they would be wrong. A column has the largest difference from the first operator on real
tokens."""

EXAMPLE: Final = "  e5-perf attention-operators --hidden 1024 --heads 16 --threads 2"

_SECONDS: Final = 0.15  # of an operator in a round
_ROUNDS: Final = 5

# Tokens of each text of a batch.
SHAPES: Final[Mapping[str, Sequence[int]]] = {
    "1x16": [16],
    "1x128": [128],
    "32x32": [32] * 32,
    "8x256": [256] * 8,
    "4x512": [512] * 4,
    "ragged 16x128": np.random.default_rng(0).integers(8, 129, 16).tolist(),
}


@dataclass(frozen=True, slots=True)
class Timed:
    """An operator on a shape.

    Attributes:
        milliseconds: The median round's.
        difference: The largest from the first operator, on real tokens.
    """

    milliseconds: float
    difference: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--hidden", type=int, default=1024, help="hidden size (default: %(default)s)")
    parser.add_argument("--heads", type=int, default=16, help="attention heads (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of the session (default: all CPUs it may use)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    if parsed.heads < 1 or parsed.hidden % parsed.heads:
        raise OptionError("heads", parsed.heads, f"a divisor of `hidden`, {parsed.hidden}")
    threads = choose_threads(parsed.threads).count
    opened = {
        name: open_operator(name, heads=parsed.heads, hidden=parsed.hidden, threads=threads)
        for name in OPERATORS
    }
    found = {shape: _time(opened, lengths, parsed.hidden) for shape, lengths in SHAPES.items()}
    sys.stdout.write(_table(found))
    return 0


def _time(
    opened: Mapping[str, onnxruntime.InferenceSession], lengths: Sequence[int], hidden: int
) -> dict[str, Timed]:
    generator = np.random.default_rng(1)
    values = generator.standard_normal((len(lengths), max(lengths), 3 * hidden), np.float32)
    feed = {"qkv": values, "lengths": np.array(lengths, np.int32)}
    even = len(set(lengths)) == 1
    names = [name for name in opened if even or name not in MASKLESS]
    results = {name: _real_rows(opened[name].run(None, feed)[0], lengths) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(_ROUNDS):
        for name in names:
            seconds[name].append(_once(opened[name], feed))
    truth = results[names[0]]
    return {
        name: Timed(1000 * median(seconds[name]), float(np.abs(results[name] - truth).max()))
        for name in names
    }


def _once(session: onnxruntime.InferenceSession, feed: Mapping[str, NDArray[np.generic]]) -> float:
    """Seconds of a run: the mean of as many as fit, and of one at least."""
    started, runs, elapsed = time.perf_counter(), 0, 0.0
    while not runs or elapsed < _SECONDS:
        session.run(None, feed)
        runs += 1
        elapsed = time.perf_counter() - started
    return elapsed / runs


def _real_rows(context: Floats, lengths: Sequence[int]) -> Floats:
    return np.concatenate([row[:length] for row, length in zip(context, lengths, strict=True)])


def _table(found: Mapping[str, Mapping[str, Timed]]) -> str:
    rows = []
    for name in OPERATORS:
        timed = [row.get(name) for row in found.values()]
        cells = ["" if one is None else f"{one.milliseconds:.2f}" for one in timed]
        difference = max(one.difference for one in timed if one is not None)
        rows.append((name, *cells, f"{difference:.0e}"))
    return table(("ms of one layer", *found, "largest difference"), rows) + "\n"
