"""`e5 embed` in bulk: what `e5_onnx.bulk` is asked to do, and by which arguments it is asked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from e5_onnx.bulk_job import (
    BAD_ROW_POLICIES,
    DEFAULT_SHARD_ROWS,
    IDENTITY_KINDS,
    VECTOR_TYPES,
    Columns,
    Job,
    names_folder,
    output_path,
)
from e5_onnx.cli.exit_codes import DONE
from e5_onnx.errors import OptionError
from e5_onnx.text_files import is_pattern, recognise

TEXT: Final = """\
In bulk (extra [bulk]), INPUT is any number of files, folders, and patterns in quotes: .parquet, .arrow,
.feather, .csv, .jsonl and .txt, the last three also with .gz or .zst. --output is a folder, for a Parquet
data set, or a .npy file, with the ids beside it. A run that was stopped does what is missing when the same
command is given again. Bad rows are set aside in rejects.jsonl. --engine ray (extra [ray]) does the same on a
cluster, whose nodes see the same files under the same paths; --threads is then what each worker takes."""

if TYPE_CHECKING:
    from e5_onnx.bulk.run import Engine, Summary

_PLAIN: Final = ("txt", "jsonl")
_OWN: Final = (
    "id_column", "keep", "vectors", "on_bad_row", "shard_rows", "identity", "engine", "address", "node_model",
)  # fmt: skip
_ENGINES: Final = ("local", "ray")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what only a bulk run takes; none has a default, so that it is seen whether it was given."""
    group = parser.add_argument_group("in bulk")
    group.add_argument("--id-column", metavar="NAME", help="default: the number of the row, from 0")
    group.add_argument("--keep", metavar="NAMES", help="columns to take along, with commas between them")
    group.add_argument("--vectors", choices=VECTOR_TYPES, help="how they are stored (default: float32)")
    group.add_argument("--on-bad-row", choices=BAD_ROW_POLICIES, help="default: reject")
    group.add_argument(
        "--shard-rows",
        type=int,
        metavar="N",
        help=f"done or not done together (default: {DEFAULT_SHARD_ROWS})",
    )
    group.add_argument(
        "--identity", choices=IDENTITY_KINDS, help="what the input is known again by (default: content)"
    )
    group.add_argument("--engine", choices=_ENGINES, help="this process, or a Ray cluster (default: local)")
    group.add_argument("--address", metavar="A", help="of the cluster (default: RAY_ADDRESS, or one here)")
    group.add_argument(
        "--node-model",
        metavar="PLACE",
        help="where nodes find the model: a path, or a URI that each fetches once (default: MODEL's path)",
    )


def is_bulk(parsed: argparse.Namespace) -> bool:
    """Whether arguments ask for what only a bulk run does."""
    if len(parsed.input) > 1 or any(getattr(parsed, name) is not None for name in _OWN):
        return True
    (name,) = parsed.input
    file = recognise(Path(name))
    needs_arrow = file is not None and (file.format not in _PLAIN or file.compression != "none")
    return needs_arrow or is_pattern(name) or Path(name).is_dir() or names_folder(parsed.output)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    from e5_onnx.bulk.layout import Layout
    from e5_onnx.bulk.progress import BulkProgress
    from e5_onnx.bulk.run import run_bulk

    job = job_of(parsed)
    progress = BulkProgress(shown=False if parsed.no_progress else None)
    try:
        done = run_bulk(job, engine=engine_of(parsed), progress=progress)
    except KeyboardInterrupt:
        progress.say("what is done is kept: the same command goes on from there")
        raise
    sys.stderr.write(f"e5: {_told(done, Layout(job.output).rejects)}; {progress.texts.rates()}\n")
    return DONE


def engine_of(parsed: argparse.Namespace) -> Engine | None:
    """Where the arguments want the work to be done; None for this process.

    Raises:
        OptionError: For an option of a cluster without one.
        MissingExtraError: If the extra `[ray]` is not installed.
    """
    if parsed.engine == "ray":
        from e5_onnx.ray.engine import RayEngine

        return RayEngine(parsed.address, parsed.node_model)
    for option, value in (("--address", parsed.address), ("--node-model", parsed.node_model)):
        if value is not None:
            raise OptionError(option, value, "given together with --engine ray")
    return None


def _told(done: Summary, rejects: Path) -> str:
    parts = [f"{done.rows:,} rows", f"{done.written:,} vectors"]
    if done.done_before:
        parts[0] += f" ({done.done_before:,} done before)"
    if done.rejected:
        parts.append(f"{done.rejected:,} rejected, see {rejects}")
    if done.truncated:
        parts.append(f"{done.truncated:,} cut")
    return ", ".join(parts)


def job_of(parsed: argparse.Namespace) -> Job:
    """What the arguments ask for.

    Raises:
        OptionError: For a value out of range, or standard input.
    """
    if "-" in parsed.input:
        raise OptionError("INPUT", "-", "files, which can be read again, for a bulk run")
    keep = () if parsed.keep is None else tuple(parsed.keep.split(","))
    return Job(
        model=parsed.model,
        inputs=tuple(parsed.input),
        output=output_path(parsed.output),
        columns=Columns(parsed.field, parsed.id_column, keep),
        role=parsed.role,
        task=parsed.task,
        overflow=parsed.overflow,
        vectors=parsed.vectors or "float32",
        on_bad_row=parsed.on_bad_row or "reject",
        shard_rows=DEFAULT_SHARD_ROWS if parsed.shard_rows is None else parsed.shard_rows,
        identity=parsed.identity or "content",
        threads=parsed.threads,
        tokenizer=parsed.tokenizer,
    )
