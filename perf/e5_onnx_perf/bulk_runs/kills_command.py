"""`e5-perf kills`."""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from e5_onnx.bulk.layout import Layout
from e5_onnx.errors import OptionError
from e5_onnx.folder import open_folder
from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.results import write_json
from e5_onnx_perf.bulk_runs.corpus import write_corpus
from e5_onnx_perf.bulk_runs.embed_process import EmbedCommand

TEXT: Final = """\
Kills `e5 embed` (SIGKILL) again and again over one run, and compares what is there at the end.

The moments are random, from the start of the process on, so that some kills strike while the model is loaded
or the input is looked through. The output must be the bytes of a run that nobody disturbed."""

EXAMPLE: Final = "  e5-perf kills e5-small-int8 --data DIR --kills 50"

_ROWS, _SHARD_ROWS, _KILLS = 40_000, 100, 50
# Of the work that is done by lives that are killed; the rest is left for the last one, which is not.
_SHARE: Final = 0.8
Values = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder that holds tatoeba/; else words")
    parser.add_argument("--kills", type=int, default=_KILLS, help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=_ROWS, help="of the corpus (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where kills.json is written")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command; 1 if the outputs differ, or the run ended before all kills."""
    for option in ("kills", "rows"):
        if getattr(parsed, option) < 1:
            raise OptionError(f"--{option}", getattr(parsed, option), "at least 1")
    open_folder(parsed.folder)
    with tempfile.TemporaryDirectory(prefix="e5-perf-kills-") as scratch:
        values = _measure(parsed, Path(scratch))
    if parsed.out:
        parsed.out.mkdir(parents=True, exist_ok=True)
        write_json(values, parsed.out / "kills.json")
    same = "the same bytes as" if values["identical"] else "NOT the same as"
    sys.stdout.write(
        f"{values['kills']} kills, {values['kills_before_work']} of them before any new shard, over "
        f"{values['shards']} shards: {same} the uninterrupted run\n"
    )
    return int(not values["identical"] or values["kills"] < parsed.kills)


def _measure(parsed: argparse.Namespace, scratch: Path) -> Values:
    corpus = scratch / "corpus.parquet"
    write_corpus(corpus, parsed.rows, model=parsed.folder, data=parsed.data)
    whole = EmbedCommand(parsed.folder, corpus, scratch / "whole", _SHARD_ROWS)
    first, seconds = _undisturbed(whole)
    killed = EmbedCommand(parsed.folder, corpus, scratch / "killed", _SHARD_ROWS)
    generator = np.random.default_rng(parsed.seed)
    longest = _longest_life(first, _SHARE * (seconds - first) / parsed.kills)
    kills = barren = 0
    for _ in TerminalProgress().track(range(parsed.kills), label="kills", total=parsed.kills):
        before = _shards(killed.output)
        if not _kill(killed, float(generator.uniform(0, longest))):
            break
        kills += 1
        barren += _shards(killed.output) == before
    killed.finish(killed.start())
    return {
        "rows": parsed.rows,
        "shards": _shards(whole.output),
        "kills": kills,
        "kills_before_work": barren,
        "identical": _content(killed.output) == _content(whole.output),
    }


def _longest_life(start: float, work: float) -> float:
    """The end of the span of random lives that do so much work each on the average.

    A life of t seconds does t - start seconds of work, or none: the mean of that, t even between 0 and L, is
    (L - start)^2 / 2L.
    """
    return start + work + math.sqrt(work * (work + 2 * start))


def _undisturbed(command: EmbedCommand) -> tuple[float, float]:
    """Runs to the end; the seconds until the first shard was there, and all."""
    started, first = time.perf_counter(), None
    process = command.start()
    while process.poll() is None:
        if first is None and _shards(command.output):
            first = time.perf_counter() - started
        time.sleep(0.02)
    command.finish(process)
    seconds = time.perf_counter() - started
    return first or seconds, seconds


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


def _shards(output: Path) -> int:
    return len(list(output.glob("part-*.parquet")))


def _content(output: Path) -> dict[str, bytes]:
    found = {part.name: part.read_bytes() for part in sorted(output.glob("part-*.parquet"))}
    return found | {"rejects": Layout(output).rejects.read_bytes()}
