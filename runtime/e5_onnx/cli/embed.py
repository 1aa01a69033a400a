"""`e5 embed`: a file of texts to a file of vectors."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from typing import Final

from e5_onnx.cli import bulk_embed
from e5_onnx.cli.arguments import add_command, add_model_options, open_model
from e5_onnx.cli.exit_codes import DONE
from e5_onnx.cli.records import Source, open_source
from e5_onnx.cli.vectors_out import VectorWriter, check_output, open_output
from e5_onnx.embedder import Embedder
from e5_onnx.errors import RecordError, TextTooLongError, TruncationWarning
from e5_onnx.progress import ProgressLine
from e5_onnx.recipes import ROLES, Role
from e5_onnx.records import FORMATS, Record

_TEXT: Final = (
    """\
Embeds a file of texts, or in bulk any number of files.

INPUT is .txt (line i is row i, blank lines included), .jsonl (the text under --field), or - for stdin.
--output is .npy (float32, a row a text), .jsonl (each record with its vector under "embedding"), or - for
JSON lines on stdout. It appears only when it is complete.

"""
    + bulk_embed.TEXT
)

_EXAMPLE: Final = """\
  e5 embed my-e5 passages.txt --role document --output passages.npy
  e5 embed my-e5 questions.jsonl --field question --role query --task 'Find the answer' --output -
  e5 embed my-e5 'corpus/*.parquet' --role document --id-column url --vectors float16 --output vectors"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "embed", text=_TEXT, example=_EXAMPLE)
    parser.add_argument("input", metavar="INPUT", nargs="+")
    parser.add_argument("--role", choices=ROLES, help="needed where the model writes them differently")
    parser.add_argument("--task", help="the instruction of queries, where the model takes one")
    parser.add_argument("--output", required=True, metavar="OUT")
    parser.add_argument("--input-format", choices=FORMATS, default="txt", help="of stdin: %(default)s")
    add_model_options(parser)
    bulk_embed.add_arguments(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    if bulk_embed.is_bulk(parsed):
        return bulk_embed.run(parsed)
    check_output(parsed.output)
    (name,) = parsed.input
    progress = ProgressLine(shown=False if parsed.no_progress else None)
    with open_source(name, parsed.field, parsed.input_format) as source, open_model(parsed) as model:
        role = model.manifest.recipe.choose_role(parsed.role)
        with open_output(parsed.output, model.dimension) as writer:
            try:
                _embed(model, source, writer, role=role, task=parsed.task, progress=progress)
            finally:
                progress.close()
    sys.stderr.write(f"e5: {progress.rates()}, {progress.seconds:.1f} s{_cut(progress, model)}\n")
    return DONE


def _embed(
    model: Embedder,
    source: Source,
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
            raise RecordError(source.name, error.index + 1, reason) from error


def _cut(progress: ProgressLine, model: Embedder) -> str:
    return f"; {progress.truncated} cut to {model.max_tokens} tokens" if progress.truncated else ""
