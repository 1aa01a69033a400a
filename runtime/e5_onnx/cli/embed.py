"""`e5 embed`: a file of texts to a file of vectors."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from e5_onnx.bulk_job import names_folder
from e5_onnx.cli.arguments import add_command, add_model_options, add_text_options, open_model
from e5_onnx.cli.records import RecordSource, open_source
from e5_onnx.cli.vectors_out import VectorWriter, check_output, open_vector_writer
from e5_onnx.embedder import Embedder
from e5_onnx.errors import OptionError, RecordError, TextTooLongError, TruncationWarning
from e5_onnx.machine.exit_codes import DONE
from e5_onnx.recipes import Role
from e5_onnx.text_input.progress import ProgressLine
from e5_onnx.text_input.records import FORMATS, Record
from e5_onnx.text_input.text_files import is_pattern, recognise_format

_TEXT: Final = """\
Embeds one file of texts, or standard input.

INPUT is .txt (line i is row i, blank lines included), .jsonl or .ndjson (the text under --text-column; blank
lines are skipped), or - for stdin. An empty text gets a vector; `e5 bulk` rejects it.
--output is .npy (float32, one row per text), .jsonl (each record with its vector under "embedding"), or - for
JSON lines on stdout.

A bad row (not JSON, no text, broken encoding) is an error that names the line, and no output is written. A
file is checked completely before the first text is embedded. From stdin to stdout, the rows before the bad
one are written.

`e5 bulk` is for several files, folders, Parquet and CSV, and for runs that can be stopped and resumed."""

_EXAMPLE: Final = """\
  e5 embed my-e5 passages.txt --role document --output passages.npy
  e5 embed my-e5 questions.jsonl --field question --role query --task 'Find the answer' --output -"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "embed", text=_TEXT, example=_EXAMPLE)
    parser.add_argument("input", metavar="INPUT", nargs="+", help="a .txt or .jsonl file, or - for stdin")
    parser.add_argument(
        "--output", required=True, metavar="OUT", help="a .npy or .jsonl file, or - for stdout"
    )
    add_text_options(parser)
    parser.add_argument(
        "--input-format", choices=FORMATS, default="txt", help="format of standard input (default: txt)"
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    _refuse_bulk(parsed)
    check_output(parsed.output)
    (name,) = parsed.input
    progress = ProgressLine(shown=False if parsed.no_progress else None)
    with open_source("inputs", name, parsed.text_column, stdin=parsed.input_format) as source:
        source.check()
        with open_model(parsed) as model:
            role = model.manifest.recipe.choose_role(parsed.role)
            with open_vector_writer(parsed.output, model.dimension) as writer:
                try:
                    _embed(model, source, writer, role=role, task=parsed.task, progress=progress)
                finally:
                    progress.close()
    sys.stderr.write(f"e5: {progress.rates()}, {progress.seconds:.1f} s{_cut(progress, model)}\n")
    return DONE


def _refuse_bulk(parsed: argparse.Namespace) -> None:
    """Refuses what only `e5 bulk` takes.

    Raises:
        OptionError: If there is such a thing.
    """
    if len(parsed.input) > 1:
        raise OptionError("inputs", " ".join(parsed.input), "one file; `e5 bulk` takes any number")
    (name,) = parsed.input
    file = recognise_format(Path(name))
    plain = file is None or (file.format.name in FORMATS and file.compression == "none")
    if not plain or is_pattern(name) or Path(name).is_dir():
        expected = "a .txt or .jsonl file, or - for stdin; `e5 bulk` takes folders, patterns and other files"
        raise OptionError("inputs", name, expected)
    if names_folder(parsed.output):
        expected = "a .npy or .jsonl file, or - for stdout; `e5 bulk` writes folders"
        raise OptionError("output", parsed.output, expected)


def _embed(
    model: Embedder,
    source: RecordSource,
    writer: VectorWriter,
    *,
    role: Role,
    task: str | None,
    progress: ProgressLine,
) -> None:
    waiting: list[Record] = []

    def texts() -> Iterator[str]:
        for record in source.records():
            waiting.append(record)
            yield record.text

    with warnings.catch_warnings():
        # Counted and told at the end, on one line.
        warnings.simplefilter("ignore", TruncationWarning)
        try:
            for encoded in model.stream(texts(), role=role, task=task):
                count = len(encoded.vectors)
                writer.write(waiting[:count], encoded.vectors)
                del waiting[:count]
                progress.add(
                    texts=count,
                    tokens=int(encoded.tokens.sum()),
                    truncated=int(encoded.truncated.sum()),
                    done=source.done(),
                )
        except TextTooLongError as error:
            reason = f"it has {error.tokens} tokens, the model takes {error.limit}"
            line = waiting[error.index - progress.texts].line
            raise RecordError(source.name, line, reason) from error


def _cut(progress: ProgressLine, model: Embedder) -> str:
    return f"; {progress.truncated} cut to {model.max_tokens} tokens" if progress.truncated else ""
