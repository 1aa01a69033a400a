"""`e5-perf accuracy`: candidates against a reference, by task and by language."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from e5_onnx.errors import OptionError
from e5_onnx_export.cards.accuracy import RESULTS_NAME, accuracy_table, fidelity_lines
from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.accuracy_page import require_page_tools, write_accuracy_page
from e5_onnx_perf.accuracy.accuracy_results import accuracy_results, write_values
from e5_onnx_perf.accuracy.comparison import RESAMPLES, Draws, compare
from e5_onnx_perf.accuracy.data_folder import open_data
from e5_onnx_perf.accuracy.instructions import CONVENTIONS, TASKS, TaskName
from e5_onnx_perf.accuracy.observations import ObservationStore
from e5_onnx_perf.accuracy.open_models import open_models
from e5_onnx_perf.accuracy.published import published_table
from e5_onnx_perf.accuracy.run import observe_all
from e5_onnx_perf.accuracy.scores import require_scipy
from e5_onnx_perf.accuracy.squad import name_retrieval_file
from e5_onnx_perf.accuracy.unit_plan import FEWEST, AccuracyRequest, plan_units
from e5_onnx_perf.accuracy.verdict import parse_margin
from e5_onnx_perf.cache_folder import cache_folder

PAGE_NAME: Final = "accuracy.html"
TABLE_NAME: Final = "accuracy.md"

TEXT: Final = """\
Compares model folders with full precision, by task and by language, with 95% intervals and a plain verdict.

REFERENCE and CANDIDATE are model folders, or torch:PATH_OR_ID (transformers, fp32) or st:PATH_OR_ID
(sentence-transformers). Writes accuracy.json, accuracy.html and accuracy.md to --out. Without --data it
downloads the public test sets that the tasks need. Vectors are kept: a second run, one more candidate or a
resumed run computes only what is new."""

EXAMPLE: Final = """\
  e5-perf accuracy e5-small-fp32 e5-small --out accuracy --data data
  e5-perf accuracy torch:intfloat/multilingual-e5-large-instruct e5-large-int8 --out accuracy --tasks sts
  e5-perf accuracy e5-small-fp32 e5-small --out accuracy --tasks sts --convention reproduction
  e5-perf accuracy e5-fp32 e5-int8 --out accuracy --tasks retrieval --retrieval questions.de.json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("reference", metavar="REFERENCE", help="a model folder, or torch:CHECKPOINT")
    parser.add_argument("candidates", metavar="CANDIDATE", nargs="+", help="model folders to compare with it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument("--tasks", help=f"tasks, of {','.join(TASKS)} (default: all that have data)")
    parser.add_argument(
        "--languages", metavar="CODES", help="codes of two or three letters (default: all languages)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder that holds stsb/ and tatoeba/ (default: a download)",
    )
    parser.add_argument(
        "--retrieval",
        action="append",
        default=[],
        metavar="[LANG=]FILE",
        help="own questions, SQuAD-format JSON; LANG is in the name otherwise, as in questions.de.json; "
        "may be given again (default: none)",
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="number of items of each task and language (default: all)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the resampling (default: %(default)s)")
    parser.add_argument(
        "--margin",
        default="0.5,1.0",
        metavar="AVERAGE[,LANGUAGE]",
        help="largest loss in points, on average and in any language (default: %(default)s)",
    )
    parser.add_argument(
        "--convention",
        choices=CONVENTIONS,
        default="official",
        help="prompts: those that the authors recommend, or those of the published figures "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--resamples", type=int, default=RESAMPLES, help="number of bootstrap samples (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, help="threads of each model (default: all CPUs it may use)")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="folder for downloads and vectors (default: the user's cache folder)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    request, margin, draws = _request(parsed), parse_margin(parsed.margin), _draws(parsed)
    require_scipy()
    require_page_tools()
    models = open_models([parsed.reference, *parsed.candidates], threads=parsed.threads)
    parsed.out.mkdir(parents=True, exist_ok=True)
    cache: Path = parsed.cache or cache_folder()
    units = plan_units(request, open_data(parsed.data, cache / "data"), models[0].recipe)
    store, progress = ObservationStore(cache / "observations"), TerminalProgress()
    observations = [observe_all(model, units, store, progress=progress) for model in models]
    progress.step(f"drawing {draws.resamples:,} resamples")
    compared = compare(units, observations, margin=margin, draws=draws)
    values = accuracy_results(
        models, compared, units, request=request, margin=margin, draws=draws, command=_command(parsed)
    )
    sys.stdout.write(write_accuracy_results(values, parsed.out))
    return 0


def write_accuracy_results(values: dict[str, Any], out: Path) -> str:
    """Writes accuracy.json, accuracy.html and accuracy.md, and returns the last one's text."""
    candidates = values["candidates"]
    parts = (
        accuracy_table(candidates),
        fidelity_lines(candidates),
        published_table(values),
        f"`{values['command']}`\n",
    )
    table = "\n".join(part for part in parts if part)
    write_values(values, out / RESULTS_NAME)
    (out / TABLE_NAME).write_text(table, "utf-8")
    write_accuracy_page(values, out / PAGE_NAME)
    return table


def _request(parsed: argparse.Namespace) -> AccuracyRequest:
    if parsed.limit is not None and parsed.limit < FEWEST:
        raise OptionError("limit", parsed.limit, f"at least {FEWEST}")
    retrieval = [name_retrieval_file(given) for given in parsed.retrieval]
    default = [task for task in TASKS if task != "retrieval" or retrieval]
    tasks = default if parsed.tasks is None else _listed("tasks", parsed.tasks, TASKS)
    if retrieval and "retrieval" not in tasks:
        raise OptionError("tasks", parsed.tasks, "with retrieval among them, since `retrieval` is set")
    languages = None if parsed.languages is None else parsed.languages.split(",")
    return AccuracyRequest(
        cast(Sequence[TaskName], tasks), languages, retrieval, parsed.convention, parsed.limit
    )


def _listed(parameter: str, given: str, known: Sequence[str]) -> list[str]:
    names = given.split(",")
    if set(names) - set(known):
        raise OptionError(parameter, given, f"one or more of {','.join(known)}")
    return list(dict.fromkeys(names))


def _draws(parsed: argparse.Namespace) -> Draws:
    for name, value, least in (("resamples", parsed.resamples, 100), ("seed", parsed.seed, 0)):
        if value < least:
            raise OptionError(name, value, f"at least {least}")
    return Draws(parsed.resamples, parsed.seed)


def _command(parsed: argparse.Namespace) -> str:
    """The command that repeats the run: its arguments decide the figures, folders go by their names."""
    named = [_name(spec) for spec in (parsed.reference, *parsed.candidates)]
    words = ["e5-perf", "accuracy", *named, "--out", parsed.out.name]
    for flag in ("tasks", "languages", "limit"):
        if getattr(parsed, flag) is not None:
            words += [f"--{flag}", str(getattr(parsed, flag))]
    for given in map(name_retrieval_file, parsed.retrieval):
        words += ["--retrieval", f"{given.language}={given.path.name}"]
    words += ["--convention", parsed.convention, "--margin", parsed.margin, "--seed", str(parsed.seed)]
    return shlex.join([*words, *(["--data", "DIR"] if parsed.data else [])])


def _name(spec: str) -> str:
    return Path(spec).name if Path(spec).is_dir() else spec
