"""`e5 bulk`: any number of files to a data set of vectors, in a run that can be stopped and resumed."""

from __future__ import annotations

import argparse
import csv
import sys
from threading import Event
from typing import TYPE_CHECKING, Final

from e5_onnx.bulk_job import (
    ARRAY_ENDING,
    BAD_ROW_POLICIES,
    DEFAULT_SHARD_ROWS,
    DEFAULT_SHARD_SECONDS,
    IDENTITY_KINDS,
    VECTOR_TYPES,
    Columns,
    Job,
    output_path,
)
from e5_onnx.cli.arguments import add_command, add_model_options, add_text_options
from e5_onnx.cli.records import STDIN
from e5_onnx.cli.stopping import stopped_by_signals
from e5_onnx.errors import OptionError
from e5_onnx.machine.exit_codes import DONE, INTERRUPTED
from e5_onnx.text_input.text_files import ENDINGS

if TYPE_CHECKING:
    from e5_onnx.bulk.progress import BulkProgress
    from e5_onnx.bulk.run import BulkEngine, Summary

_TEXT: Final = f"""\
Embeds any number of files into a data set, in a run that can be stopped and resumed (extra [bulk]).

INPUT is files, folders, and patterns in quotes. Names end in
{ENDINGS}.
--output is a folder, for a Parquet data set, or a .npy file, with the ids in a file next to it.

A bad row (no text, an empty or blank text, broken encoding, no id) goes to rejects.jsonl with its reason, and
the run continues; --on-bad-row stop ends the run there. A data set leaves the row out. In a .npy file row i
is always row i of the input: a bad row is NaN, or 0 with an empty scale under --vectors int8.

The same command resumes a run that was stopped. `e5 embed` is for one file or standard input, without the
extra."""

_EXAMPLE: Final = """\
  e5 bulk my-e5 'corpus/*.parquet' --role document --id-column url --vectors float16 --output vectors
  e5 bulk my-e5 sales.csv --text-column description --id-column sku --keep lang,price --role document \\
      --output vectors"""

_ENGINES: Final = ("local", "ray")
# A tab is hard to type in a shell.
_NAMED_DELIMITERS: Final = {"tab": "\t", "\\t": "\t"}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "bulk", text=_TEXT, example=_EXAMPLE)
    parser.add_argument("input", metavar="INPUT", nargs="+", help="files, folders, or patterns in quotes")
    parser.add_argument("--output", required=True, metavar="OUT", help="a folder, or a .npy file")
    add_text_options(parser)
    _add_columns(parser)
    add_model_options(parser)
    _add_run_options(parser.add_argument_group("run"))
    _add_cluster_options(parser.add_argument_group("Ray cluster (extra [ray])"))
    parser.set_defaults(run=run)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--id-column",
        metavar="NAME",
        help="column that holds the id (default: the number of the row, from 0)",
    )
    parser.add_argument(
        "--keep",
        metavar="NAMES",
        help="columns to copy, separated by commas; a name with a comma goes in double quotes "
        "(default: none)",
    )
    parser.add_argument(
        "--delimiter",
        metavar="C",
        help="character between CSV fields, or tab (default: found in each file: comma, semicolon, tab or |)",
    )


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--vectors",
        choices=VECTOR_TYPES,
        default="float32",
        help="number type of the vectors (default: float32)",
    )
    group.add_argument(
        "--on-bad-row",
        choices=BAD_ROW_POLICIES,
        default="reject",
        help="write a bad row to rejects.jsonl and continue, or stop the run there (default: reject)",
    )
    group.add_argument(
        "--shard-rows",
        type=int,
        default=DEFAULT_SHARD_ROWS,
        metavar="N",
        help="largest number of input rows in a shard, the unit that is resumed (default: %(default)s)",
    )
    group.add_argument(
        "--shard-seconds",
        type=float,
        default=DEFAULT_SHARD_SECONDS,
        metavar="S",
        help="write a shard after this many seconds, even with fewer rows; a kill loses at most this work "
        "(default: %(default)g)",
    )
    group.add_argument(
        "--identity",
        choices=IDENTITY_KINDS,
        default="content",
        help="how a resumed run detects a changed input file: by its content or its modification time "
        "(default: content)",
    )


def _add_cluster_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--engine",
        choices=_ENGINES,
        default="local",
        help="engine that computes vectors: this process, or a Ray cluster whose nodes see the same "
        "files under the same paths (default: local)",
    )
    group.add_argument(
        "--address",
        metavar="A",
        help="address of the cluster (default: RAY_ADDRESS, or a new cluster on this machine)",
    )
    group.add_argument(
        "--node-model",
        metavar="PLACE",
        help="model folder on the nodes: a path, or a URI that each node copies (default: MODEL's path)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    job = job_of(parsed)
    from e5_onnx.bulk.layout import OutputLayout
    from e5_onnx.bulk.progress import BulkProgress
    from e5_onnx.bulk.run import run_bulk

    progress = BulkProgress(shown=False if parsed.no_progress else None)
    try:
        with stopped_by_signals(progress) as stop:
            done = run_bulk(job, engine=engine_of(parsed, stop), progress=progress, stop=stop)
    except KeyboardInterrupt:
        sys.stderr.write(f"e5: {_kept(progress, job)}\n")
        raise
    if done.left:
        sys.stderr.write(f"e5: {_kept(progress, job)}\n")
        return INTERRUPTED
    told = _told(done, job, rejects=str(OutputLayout(job.output).rejects))
    sys.stderr.write(f"e5: {told}; {progress.texts.rates()}\n")
    return DONE


def engine_of(parsed: argparse.Namespace, stop: Event) -> BulkEngine | None:
    """Returns the engine that the arguments name; None for this process.

    Raises:
        OptionError: For an option of a cluster without one.
        MissingExtraError: If the extra `[ray]` is not installed.
    """
    if parsed.engine == "ray":
        from e5_onnx.ray.engine import RayEngine

        return RayEngine(parsed.address, parsed.node_model, stop)
    for parameter in ("address", "node_model"):
        value = getattr(parsed, parameter)
        if value is not None:
            raise OptionError(parameter, value, "given together with engine='ray'")
    return None


def _kept(progress: BulkProgress, job: Job) -> str:
    """Returns the message about an interrupted run."""
    if progress.rows is None:
        return "stopped before any text was embedded: what earlier runs finished is kept"
    return (
        f"stopped: {progress.kept:,} of {progress.rows:,} rows are kept in {job.output}: the same command "
        "continues from there"
    )


def _told(done: Summary, job: Job, *, rejects: str) -> str:
    parts = [f"{done.rows:,} rows", f"{done.written:,} vectors"]
    if done.done_before:
        parts[0] += f" ({done.done_before:,} done before)"
    if done.rejected:
        where = f" (rows without a vector in {job.output.name})" if job.output.suffix == ARRAY_ENDING else ""
        parts.append(f"{done.rejected:,} rejected{where}, see {rejects}")
    if done.truncated:
        parts.append(f"{done.truncated:,} cut")
    if done.left_out:
        files = ", ".join(f"{count:,} {ending}" for ending, count in sorted(done.left_out.items()))
        parts.append(f"left out: {files}")
    return ", ".join(parts)


def job_of(parsed: argparse.Namespace) -> Job:
    """Returns the bulk run that the arguments describe.

    Raises:
        OptionError: For a value out of range, or what `e5 embed` takes.
    """
    if STDIN in parsed.input:
        raise OptionError("inputs", STDIN, "files, which a resumed run reads again; `e5 embed` reads stdin")
    if parsed.output == STDIN or parsed.output.lower().endswith(".jsonl"):
        raise OptionError(
            "output", parsed.output, "a folder or a .npy file; `e5 embed` writes .jsonl and to stdout"
        )
    keep = () if parsed.keep is None else tuple(next(csv.reader([parsed.keep], skipinitialspace=True)))
    delimiter = _NAMED_DELIMITERS.get(parsed.delimiter, parsed.delimiter)
    return Job(
        model=parsed.model,
        inputs=tuple(parsed.input),
        output=output_path(parsed.output),
        columns=Columns(parsed.text_column, parsed.id_column, keep, delimiter),
        role=parsed.role,
        task=parsed.task,
        overflow=parsed.overflow,
        vectors=parsed.vectors,
        on_bad_row=parsed.on_bad_row,
        shard_rows=parsed.shard_rows,
        shard_seconds=parsed.shard_seconds,
        identity=parsed.identity,
        threads=parsed.threads,
        tokenizer=parsed.tokenizer,
    )
