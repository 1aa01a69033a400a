"""`e5 embed`: a file of texts to a file of vectors."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from typing import Final

from e5_onnx.cli.arguments import add_command, add_model_options, open_model
from e5_onnx.cli.exit_codes import DONE
from e5_onnx.cli.records import Source, open_source
from e5_onnx.cli.vectors_out import VectorWriter, check_output, open_output
from e5_onnx.embedder import Embedder
from e5_onnx.errors import OptionError, RecordError, TextTooLongError, TruncationWarning
from e5_onnx.progress import ProgressLine
from e5_onnx.recipes import ROLES, Role
from e5_onnx.records import FORMATS, Record

_TEXT: Final = """\
Embeds a file of texts.

INPUT is .txt (line i is row i, blank lines included), .jsonl (the text under --field), or - for stdin.
--output is .npy (float32, a row a text), .jsonl (each record with its vector under "embedding"), or - for
JSON lines on stdout. It appears only when it is complete."""

_EXAMPLE: Final = """\
  e5 embed my-e5 passages.txt --role document --output passages.npy
  e5 embed my-e5 questions.jsonl --field question --role query --task 'Find the answer' --output -"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "embed", text=_TEXT, example=_EXAMPLE)
    parser.add_argument("input", metavar="INPUT")
    parser.add_argument("--role", choices=ROLES, help="needed where the model writes them differently")
    parser.add_argument("--task", help="the instruction of queries, where the model takes one")
    parser.add_argument("--output", required=True, metavar="OUT")
    parser.add_argument("--input-format", choices=FORMATS, default="txt", help="of stdin: %(default)s")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    check_output(parsed.output)
    progress = ProgressLine(shown=False if parsed.no_progress else None)
    with open_source(parsed.input, parsed.field, parsed.input_format) as source, open_model(parsed) as model:
        role = choose_role(model, parsed.role)
        with open_output(parsed.output, model.dimension) as writer:
            try:
                _embed(model, source, writer, role=role, task=parsed.task, progress=progress)
            finally:
                progress.close()
    sys.stderr.write(f"e5: {progress.rates()}, {progress.seconds:.1f} s{_cut(progress, model)}\n")
    return DONE


def choose_role(model: Embedder, role: Role | None) -> Role:
    """The role asked for; `document` where the model writes all texts alike.

    Raises:
        OptionError: If none was asked for and it matters.
    """
    if role is None and model.manifest.recipe.has_roles:
        recipe = model.manifest.recipe.name
        raise OptionError("--role", role, f"one of {', '.join(ROLES)} for recipe {recipe!r}")
    return role or "document"


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
