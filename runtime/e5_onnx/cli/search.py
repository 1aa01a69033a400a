"""`e5 search`: which documents of a file answer a query."""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.cli.arguments import add_command, add_model_options, open_model
from e5_onnx.cli.printing import print_json, print_text
from e5_onnx.cli.records import STDIN, RecordSource, open_source
from e5_onnx.embedder import Embedder
from e5_onnx.errors import OptionError, TruncationWarning
from e5_onnx.machine.exit_codes import DONE
from e5_onnx.text_input.progress import ProgressLine
from e5_onnx.tokens.tokenization import OverflowPolicy

_TEXT: Final = """\
Ranks a file of documents by their cosine with a query.

DOCUMENTS is .txt (one document per line) or .jsonl (the text under --field). QUERY is the query itself, or -
to read it from stdin. The file may be of any size: only the best documents are kept in memory."""

_EXAMPLE: Final = """\
  e5 search my-e5 passages.txt 'How long do I boil rice?'
  e5 search my-e5 passages.jsonl --field body 'Wie lange kocht Reis?' --top 3 --json"""

_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that was found; `--json` prints these names.

    Attributes:
        rank: From 1.
        score: Its cosine with the query.
        index: Its row in the file, from 0.
        text: The document.
    """

    rank: int
    score: float
    index: int
    text: str


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "search", text=_TEXT, example=_EXAMPLE)
    parser.add_argument("documents", metavar="DOCUMENTS", help="a .txt or .jsonl file, or - for stdin")
    parser.add_argument("query", metavar="QUERY", help="the query, or - to read it from stdin")
    parser.add_argument(
        "--task", help="instruction for the query (default: the model's own, where it takes one)"
    )
    parser.add_argument(
        "--top", type=int, default=5, help="number of documents to show (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print an array of rank, score, index and text (default: a table)"
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    if parsed.top < 1:
        raise OptionError("top", parsed.top, "at least 1")
    query = _query(parsed.query)
    progress = ProgressLine(shown=False if parsed.no_progress else None)
    with (
        open_source("documents", parsed.documents, parsed.text_column, stdin="txt") as source,
        open_model(parsed) as model,
    ):
        try:
            # Windows are for documents; a query that is too long is cut.
            overflow: OverflowPolicy = "error" if parsed.overflow == "error" else "truncate"
            wanted = model.encode(query, role="query", task=parsed.task, overflow=overflow).vectors
            hits = _search(model, source, wanted, top=parsed.top, progress=progress)
        finally:
            progress.close()
    if parsed.json:
        print_json([asdict(hit) for hit in hits], indent=2)
    else:
        print_text(_as_table(hits))
    return DONE


def _query(given: str) -> str:
    """The query in UTF-8, from stdin or from the command line, whatever encoding the locale has.

    Raises:
        OptionError: If it is not UTF-8.
    """
    data = sys.stdin.buffer.read().removesuffix(b"\n") if given == STDIN else os.fsencode(given)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OptionError("query", given, f"UTF-8, and byte {error.start} is not") from error


def _search(
    model: Embedder, source: RecordSource, query: NDArray[np.float32], *, top: int, progress: ProgressLine
) -> list[Hit]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        best: list[tuple[float, int, str]] = []
        waiting: list[str] = []

        def texts() -> Iterator[str]:
            for record in source.records():
                waiting.append(record.text)
                yield record.text

        for encoded in model.stream(texts(), role="document"):
            scores = (encoded.vectors @ query).tolist()
            # The negative index: of two equal documents the earlier one is the better.
            rows = [(score, -progress.texts - row, waiting[row]) for row, score in enumerate(scores)]
            best = heapq.nlargest(top, [*best, *rows])
            del waiting[: len(scores)]
            progress.add(
                texts=len(scores),
                tokens=int(encoded.tokens.sum()),
                truncated=int(encoded.truncated.sum()),
                done=source.done(),
            )
    return [Hit(rank, round(score, 6), -index, text) for rank, (score, index, text) in enumerate(best, 1)]


def _as_table(hits: list[Hit]) -> str:
    lines = [f"{hit.rank:>3}  {hit.score:.4f}  [{hit.index}]  {_shortened(hit.text)}" for hit in hits]
    return "\n".join(lines) + "\n" if lines else "no documents\n"


def _shortened(text: str) -> str:
    # Control characters of a file do not reach the terminal.
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _WIDTH else plain[: _WIDTH - 1] + "…"
