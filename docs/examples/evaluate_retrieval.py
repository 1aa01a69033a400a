"""Is a model good enough for your own questions?

    python docs/examples/evaluate_retrieval.py e5-large docs/demo/corpus.jsonl docs/demo/questions.jsonl

The corpus has `id` and `text`; the questions have `text` and `answer`, the id of the document that answers
it, or a list of several. Some dozens of questions that your users really ask are enough to begin with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from e5_onnx import Embedder


def read(path: str) -> list[dict[str, Any]]:
    """The records of a .jsonl file."""
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def ranks(model: Embedder, corpus: list[dict[str, Any]], questions: list[dict[str, Any]]) -> np.ndarray:
    """Where the best answer of each question stands among all documents, from 1."""
    row_of = {document["id"]: row for row, document in enumerate(corpus)}
    documents = model.embed_documents([document["text"] for document in corpus])
    asked = model.embed_queries([question["text"] for question in questions])
    found = []
    for scores, question in zip(asked @ documents.T, questions, strict=True):
        answers = question["answer"] if isinstance(question["answer"], list) else [question["answer"]]
        best = max(scores[row_of[answer]] for answer in answers)
        found.append(int((scores > best).sum()) + 1)
    return np.array(found)


def report(found: np.ndarray) -> str:
    """Share of questions answered among the first, and the mean reciprocal rank."""
    hits = "  ".join(f"hit@{k} {(found <= k).mean():.2f}" for k in (1, 3, 10))
    return f"{len(found)} questions  {hits}  MRR {(1 / found).mean():.3f}"


if __name__ == "__main__":
    all_documents, all_questions = read(sys.argv[2]), read(sys.argv[3])
    with Embedder(sys.argv[1]) as opened:
        placed = ranks(opened, all_documents, all_questions)
    print(report(placed))
    for rank, asked_for in sorted(zip(placed, all_questions, strict=True), key=lambda pair: -pair[0])[:5]:
        print(f"rank {rank}: {asked_for['text']}")
