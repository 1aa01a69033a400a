"""`e5-perf kills`."""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from e5_onnx.bulk.layout import OutputLayout
from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.results import write_json
from e5_onnx_perf.bulk_runs.command_line import add_shared_arguments, open_corpus, require_at_least
from e5_onnx_perf.bulk_runs.embed_process import EmbedCommand, watch

TEXT: Final = """\
Kills `e5 bulk` (SIGKILL) again and again over one run, and compares what is there at the end.

The moments are random, from the start of the process on, so that some kills strike while the model is loaded
or the input is looked through. The output must be the bytes of a run that nobody disturbed."""

EXAMPLE: Final = "  e5-perf kills e5-small-int8 --data DIR --kills 50"

_ROWS, _SHARD_ROWS, _KILLS = 40_000, 100, 50
# Of the work that is done by lives that are killed; the rest is left for the last one, which is not.
_SHARE: Final = 0.8
# Each with lives half as long.
_ATTEMPTS: Final = 5
_RESULTS: Final = "kills.json"
Values = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_shared_arguments(parser, rows=_ROWS, results=_RESULTS)
    parser.add_argument("--kills", type=int, default=_KILLS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command; 1 if the outputs differ, or the run ended before all kills."""
    require_at_least(parsed, {"kills": 1, "rows": 1, "seed": 0})
    with open_corpus(parsed) as corpus:
        values = _measure(parsed.folder, corpus, kills=parsed.kills, seed=parsed.seed)
    values["rows"] = parsed.rows
    if parsed.out is not None:
        write_json(values, parsed.out / _RESULTS)
    same = "the same bytes as" if values["identical"] else "NOT the same as"
    sys.stdout.write(
        f"{values['kills']} kills, {values['kills_before_work']} of them before any new shard, over "
        f"{values['shards']} shards: {same} the uninterrupted run\n"
    )
    return int(not values["identical"] or values["kills"] < parsed.kills)


def _measure(folder: Path, corpus: Path, *, kills: int, seed: int) -> Values:
    whole = EmbedCommand(folder, corpus, corpus.parent / "whole", _SHARD_ROWS)
    moments, seconds = watch(whole)
    start = next((moment.seconds for moment in moments if moment.shards), seconds)
    longest = _longest_life(start, _SHARE * (seconds - start) / kills)
    generator = np.random.default_rng(seed)
    # A machine that was busy during the first run and is free now ends the second before all kills.
    for attempt in range(_ATTEMPTS):
        killed = replace(whole, output=corpus.parent / f"killed-{attempt}")
        struck, barren = _strike(killed, generator.uniform(0, longest / 2**attempt, kills).tolist())
        if struck == kills:
            break
    killed.finish(killed.start())
    return {
        "shards": len(whole.parts),
        "kills": struck,
        "kills_before_work": barren,
        "identical": _content(killed) == _content(whole),
    }


def _strike(command: EmbedCommand, lives: Sequence[float]) -> tuple[int, int]:
    """Returns how many of the lives were ended by a kill, and how many of those before any new shard."""
    struck = barren = 0
    for life in TerminalProgress().track(lives, label="kills", total=len(lives)):
        before = len(command.parts)
        if not _kill(command, life):
            break
        struck += 1
        barren += len(command.parts) == before
    return struck, barren


def _longest_life(start: float, work: float) -> float:
    """The end of the span of random lives that do so much work each on the average.

    A life of t seconds does t - start seconds of work, or none: the mean of that, t even between 0 and L, is
    (L - start)^2 / 2L.
    """
    return start + work + math.sqrt(work * (work + 2 * start))


def _kill(command: EmbedCommand, seconds: float) -> bool:
    """Kills a process after so long; False if it had ended by itself."""
    process = command.start()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    command.finish(process)
    return False


def _content(command: EmbedCommand) -> dict[str, bytes]:
    found = {part.name: part.read_bytes() for part in command.parts}
    return found | {"rejects": OutputLayout(command.output).rejects.read_bytes()}
