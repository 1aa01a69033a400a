"""`e5-perf speed`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from e5_onnx.errors import E5Error, OptionError
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.accuracy_results import write_values
from e5_onnx_perf.cache_folder import cache_folder
from e5_onnx_perf.peers import PeerName, PeerSource, import_peer
from e5_onnx_perf.report.rendering import environment
from e5_onnx_perf.report.svg import require_matplotlib
from e5_onnx_perf.speed.cold_start import measure_cold_start
from e5_onnx_perf.speed.engine import EngineSpec, OwnName
from e5_onnx_perf.speed.measure import Comparison, measure
from e5_onnx_perf.speed.scaling import measure_scaling
from e5_onnx_perf.speed.sharing import measure_sharing
from e5_onnx_perf.speed.speed_page import write_speed_page
from e5_onnx_perf.speed.speed_results import speed_results
from e5_onnx_perf.speed.table import speed_table
from e5_onnx_perf.speed.texts import FreshTexts, TextMaker, real_streams, text_maker
from e5_onnx_perf.speed.workloads import USUAL, choose_workloads

RESULTS_NAME, PAGE_NAME, TABLE_NAME = "speed.json", "speed.html", "speed.md"

TEXT: Final = """\
Compares engines on the same checkpoint, the same texts and the same threads, in one interleaved run.

Each engine has a process of its own, in its best supported setting for this CPU. Round by round every
workload goes round all engines, with texts that none has seen; a turn begins when the engine before has come
to rest. The first folder is compared with each engine by the median of the rounds' ratios and its 95%
bootstrap interval: it is ahead only where the interval lies above 1. All vectors that are timed are compared
with full precision: speed without agreement does not count. A baseline that is not installed is reported as
absent, with the reason. Compare ratios of one run, on a machine that does nothing else."""

EXAMPLE: Final = """\
  e5-perf speed e5-small e5-small-fp32 --out speed --quick
  e5-perf speed large-int8 large-fp32 --checkpoint seeded-large --peers torch,ctranslate2 --out speed"""

_ROUNDS, _STARTS = 7, 3
# The first folder is looked at more closely than those beside it.
_OWN: Final[tuple[OwnName, ...]] = ("embedder", "callers", "graph", "product")
_EVERY_PEER: Final = get_args(PeerName)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="model folders to time")
    parser.add_argument(
        "--peers", default="", help=f"other engines, of {','.join(_EVERY_PEER)} (default: none)"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="the Hugging Face folder that other engines run (default: none)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder that holds tatoeba/ and stsb/ (default: made-up texts of seeded words, and no sts-b)",
    )
    parser.add_argument(
        "--threads",
        type=_counts,
        help="threads of each engine, such as 2,1: a measurement for each count, all but the first in a "
        "folder of its own in DIR (default: all CPUs it may use, then 1; with --quick not 1)",
    )
    parser.add_argument("--rounds", type=int, help=f"rounds that are counted (default: {_ROUNDS})")
    parser.add_argument(
        "--workloads", metavar="NAMES", help=f"workloads, such as 1x512,stream (default: {','.join(USUAL)})"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="no cold starts, no processes beside each other, no scaling (default: off)",
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        help="folder for converted models (default: the user's cache folder)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    rounds, names, peers = _rounds(parsed), _names(parsed), _peers(parsed)
    choose_workloads(names)
    environment()
    require_matplotlib()
    for folder in parsed.folders:
        open_folder(folder)
    default = [None] if parsed.quick else [None, 1]
    counts = dict.fromkeys(choose_threads(count).count for count in parsed.threads or default)
    for number, threads in enumerate(counts):
        out = parsed.out / f"threads-{threads}" if number else parsed.out
        out.mkdir(parents=True, exist_ok=True)
        values = _measured(parsed, names, peers, threads=threads, rounds=rounds)
        sys.stdout.write(write_speed_results(values, out))
    return 0


def _measured(
    parsed: argparse.Namespace, names: Sequence[str], peers: Sequence[str], *, threads: int, rounds: int
) -> dict[str, Any]:
    """The values of speed.json for one count of threads."""
    progress, streams = TerminalProgress(), real_streams(parsed.data)
    workloads = choose_workloads(names, streams)
    maker = text_maker(parsed.folders[0] / TOKENIZER_NAME, parsed.data)
    scratch = str(parsed.scratch or cache_folder() / "peers")
    own = [
        EngineSpec(engine, str(folder), threads, scratch)
        for number, folder in enumerate(parsed.folders)
        for engine in _OWN[: 1 if number else None]
    ]
    theirs, absent = _prepared(peers, parsed.checkpoint, scratch, threads=threads)
    fresh = FreshTexts(maker, streams)
    found = measure([*own, *theirs], workloads, fresh, rounds=rounds, progress=progress)
    found = Comparison(found.engines, absent | found.absent, found.others)
    values = speed_results(found, workloads, threads=threads, rounds=rounds, command=_command(parsed))
    values |= {"cold_start": [], "sharing": [], "scaling": []}
    if not parsed.quick:
        values["cold_start"] = [
            _cold_start(spec, progress) for spec in (own[0], *theirs) if spec.name not in found.absent
        ]
        progress.step("starting processes beside each other")
        values["sharing"] = measure_sharing(own[0], [maker.make([16, 64, 200], 0)])
        values["scaling"] = _scaling(own[0], maker, rounds=rounds)
    return values


def write_speed_results(values: dict[str, Any], out: Path) -> str:
    """Writes speed.json, speed.html and speed.md, and returns the last one's text."""
    written = speed_table(values)
    write_values(values, out / RESULTS_NAME)
    (out / TABLE_NAME).write_text(written, "utf-8")
    write_speed_page(values, out / PAGE_NAME)
    return written


def _prepared(
    names: Sequence[str], checkpoint: Path | None, scratch: str, *, threads: int
) -> tuple[list[EngineSpec], dict[str, str]]:
    """Converts the checkpoint for each peer, which is not timed; what cannot be is absent."""
    specs: list[EngineSpec] = []
    absent: dict[str, str] = {}
    for name in names:
        if checkpoint is None:
            continue
        peer = cast(PeerName, name)
        try:
            import_peer(peer).prepare(PeerSource(checkpoint, Path(scratch)))
        except (E5Error, OSError, ImportError, RuntimeError, ValueError) as error:
            absent[name] = str(error).splitlines()[0] if str(error) else type(error).__name__
        else:
            specs.append(EngineSpec(peer, str(checkpoint), threads, scratch))
    return specs, absent


def _cold_start(spec: EngineSpec, progress: TerminalProgress) -> dict[str, Any]:
    progress.step(f"starting {spec.name} again and again")
    root = import_peer(spec.peer).prepare(spec.source) if spec.is_peer else Path(spec.path)
    files = [file for file in root.rglob("*") if file.is_file()]
    return {"engine": spec.name, **measure_cold_start(spec, files=files, rounds=_STARTS)}


def _scaling(spec: EngineSpec, maker: TextMaker, *, rounds: int) -> list[dict[str, Any]]:
    (workload,) = choose_workloads(["ragged"])
    requests = workload.make(FreshTexts(maker, {}))
    tokens = sum(sum(maker.count(texts)) for texts in requests)
    return measure_scaling(spec, requests, tokens=tokens, rounds=rounds)


def _rounds(parsed: argparse.Namespace) -> int:
    if parsed.rounds is not None and parsed.rounds < 1:
        raise OptionError("rounds", parsed.rounds, "at least 1")
    return int(parsed.rounds or _ROUNDS)


def _counts(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


def _names(parsed: argparse.Namespace) -> Sequence[str]:
    return USUAL if parsed.workloads is None else list(parsed.workloads.split(","))


def _peers(parsed: argparse.Namespace) -> list[str]:
    names = [name for name in parsed.peers.split(",") if name]
    if unknown := [name for name in names if name not in _EVERY_PEER]:
        raise OptionError("peers", ",".join(unknown), f"of {','.join(_EVERY_PEER)}")
    if names and parsed.checkpoint is None:
        raise OptionError("checkpoint", None, "given with `peers`: the Hugging Face folder that they run")
    if parsed.checkpoint is not None and not (parsed.checkpoint / "config.json").is_file():
        raise OptionError("checkpoint", str(parsed.checkpoint), "a Hugging Face folder, with config.json")
    return names


def _command(parsed: argparse.Namespace) -> str:
    words = ["e5-perf", "speed", *(folder.name for folder in parsed.folders)]
    if parsed.threads:
        words += ["--threads", ",".join(map(str, parsed.threads))]
    for flag in ("peers", "rounds", "workloads"):
        if getattr(parsed, flag):
            words += [f"--{flag}", str(getattr(parsed, flag))]
    if parsed.checkpoint:
        words += ["--checkpoint", parsed.checkpoint.name]
    words += ["--quick"] if parsed.quick else []
    return shlex.join([*words, *(["--data", "DIR"] if parsed.data else []), "--out", parsed.out.name])
