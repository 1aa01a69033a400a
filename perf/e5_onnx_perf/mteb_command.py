"""`e5-perf mteb`: a folder on tasks of mteb."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from e5_onnx.errors import MissingExtraError, OptionError
from e5_onnx_export.cards.parts import table
from e5_onnx_perf.accuracy.accuracy_results import write_values
from e5_onnx_perf.errors import TaskRunError

TEXT: Final = """\
Runs any task of mteb on a model folder, with mteb's own instructions and scores.

Data comes from mteb's own sources, by default the Hugging Face hub, and is kept in its cache. Results are
never taken from mteb's result cache."""

EXAMPLE: Final = "  e5-perf mteb e5-small --tasks STSBenchmarkMultilingualSTS,Tatoeba --languages deu,fra"

_PERCENT: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a model folder")
    parser.add_argument(
        "--tasks", required=True, metavar="NAMES", help="mteb's names of tasks, such as STS17,Tatoeba"
    )
    parser.add_argument(
        "--languages", metavar="CODES", help="mteb's codes of languages, such as deu,fra (default: all)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="file for mteb's results, JSON (default: none)"
    )
    parser.add_argument("--threads", type=int, help="threads of the model (default: all CPUs it may use)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    mteb = _require_mteb()
    from e5_onnx_perf.mteb_encoder import E5OnnxEncoder

    tasks = _tasks(mteb, parsed.tasks.split(","), parsed.languages)
    model = E5OnnxEncoder(parsed.folder, threads=parsed.threads)
    results = evaluate(model, tasks)
    if parsed.out is not None:
        write_values({"model": model.mteb_model_meta.name, "revision": model.mteb_model_meta.revision,
                    "results": results}, parsed.out)  # fmt: skip
    sys.stdout.write(score_table(results))
    return 0


def evaluate(model: Any, tasks: Sequence[Any]) -> list[dict[str, Any]]:  # noqa: ANN401 - mteb's classes
    """Runs tasks and returns mteb's results of each, as its JSON has them.

    Args:
        model: An encoder of mteb's.
        tasks: Tasks of mteb's.

    Raises:
        TaskRunError: If a task fails, for want of its data or otherwise.
    """
    mteb = _require_mteb()
    found = []
    for task in tasks:
        try:
            result = mteb.evaluate(
                model,
                task,
                cache=None,
                overwrite_strategy="always",
                show_progress_bar=False,
                co2_tracker=False,
            )
        except Exception as error:  # mteb, datasets and the hub have no error of their own in common
            raise TaskRunError(task.metadata.name, error) from error
        found += [json.loads(own.model_dump_json()) for own in result.task_results]
    return found


def score_table(results: Sequence[dict[str, Any]]) -> str:
    """The main score of each task, split and subset, on a scale of 0 to 100, in Markdown."""
    cells = [
        (result["task_name"], split, row["hf_subset"], f"{_PERCENT * row['main_score']:.2f}")
        for result in results
        for split, rows in result["scores"].items()
        for row in rows
    ]
    return table(("task", "split", "subset", "score"), cells) + "\n"


def _tasks(mteb: Any, names: Sequence[str], languages: str | None) -> list[Any]:  # noqa: ANN401
    # Every task's class is looked at to find out which names there are.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = sorted(task.metadata.name for task in mteb.get_tasks(exclude_superseded=False))
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3) or known[:3]
                raise OptionError("tasks", name, f"a task of mteb, such as {', '.join(near)}")
        wanted = None if languages is None else languages.split(",")
        return list(mteb.get_tasks(tasks=list(names), languages=wanted, exclude_superseded=False))


def _require_mteb() -> Any:  # noqa: ANN401
    try:
        import mteb
    except ImportError as error:
        raise MissingExtraError("mteb", "mteb") from error
    return mteb
