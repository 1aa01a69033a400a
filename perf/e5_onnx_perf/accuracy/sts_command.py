"""`e5-perf sts`: a folder on STS-B, beside the figures published for e5-small."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Final

from e5_onnx import Embedder
from e5_onnx.recipes import ROLES, Role
from e5_onnx_perf.accuracy.data_folder import DataFiles, DataFolder
from e5_onnx_perf.accuracy.scores import cosines, require_scipy, spearman
from e5_onnx_perf.accuracy.stsb import LANGUAGES, read_pairs

# multilingual-e5-small, cosine Spearman x 100 on the test sets: embeddings-benchmark/results,
# intfloat__multilingual-e5-small/fd1525a9, STSBenchmarkMultilingualSTS.json. Made with mteb 1.18.0, which
# gives STS texts no prefix. Japanese is not among them.
PUBLISHED_E5_SMALL: Final = {
    "de": 78.94, "en": 83.59, "es": 80.74, "fr": 79.32, "it": 78.28,
    "nl": 76.52, "pl": 73.67, "pt": 77.73, "ru": 77.78, "zh": 78.05,
}  # fmt: skip

TEXT: Final = """\
Scores a model folder on the STS-B test sets: Spearman's rank correlation of cosines with people's judgement.

Beside it stand the figures published for multilingual-e5-small, which were made without a prefix: so --role
raw is the default here, though a query prefix on both sides is what its authors recommend."""

_FEWEST: Final = 2

EXAMPLE: Final = "  e5-perf sts e5-small --data data --languages de,en"


@dataclass(frozen=True, slots=True)
class Row:
    """One language's result."""

    language: str
    pairs: int
    spearman: float
    published: float | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds stsb/ and SHA256SUMS")
    parser.add_argument("--languages", default=",".join(LANGUAGES), help="default: %(default)s")
    parser.add_argument("--role", choices=ROLES, default="raw", help="default: %(default)s")
    parser.add_argument("--limit", type=int, help="pairs of each language")
    parser.add_argument("--json", action="store_true")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    languages = parsed.languages.split(",")
    if unknown := set(languages) - set(LANGUAGES):
        raise argparse.ArgumentTypeError(
            f"--languages: there is no {', '.join(sorted(unknown))!r}; choose of {', '.join(LANGUAGES)}"
        )
    if parsed.limit is not None and parsed.limit < _FEWEST:
        raise argparse.ArgumentTypeError(f"--limit is at least {_FEWEST}: fewer pairs have no order")
    require_scipy()
    with Embedder(parsed.folder) as model:
        rows = [
            score(model, DataFolder(parsed.data), language, role=parsed.role, limit=parsed.limit)
            for language in languages
        ]
    sys.stdout.write(json.dumps([asdict(row) for row in rows]) + "\n" if parsed.json else table(rows))
    return 0


def score(model: Embedder, data: DataFiles, language: str, *, role: Role, limit: int | None) -> Row:
    """Scores one language."""
    pairs = read_pairs(data, language, limit)
    left, right = (model.encode(texts, role=role).vectors for texts in (pairs.left, pairs.right))
    found = spearman(cosines(left, right), pairs.scores)
    return Row(language, len(pairs.scores), round(found, 2), PUBLISHED_E5_SMALL.get(language))


def table(rows: list[Row]) -> str:
    """The rows in Markdown, with the averages over the languages that have a published figure."""
    lines = ["| language | pairs | Spearman | published e5-small | difference |", "|---|---|---|---|---|"]
    for row in rows:
        published = "-" if row.published is None else f"{row.published:.2f}"
        difference = "-" if row.published is None else f"{row.spearman - row.published:+.2f}"
        lines.append(f"| {row.language} | {row.pairs} | {row.spearman:.2f} | {published} | {difference} |")
    both = [(row.spearman, row.published) for row in rows if row.published is not None]
    if both:
        ours, theirs = mean(found for found, _ in both), mean(published for _, published in both)
        lines.append(f"| mean of {len(both)} | | {ours:.2f} | {theirs:.2f} | {ours - theirs:+.2f} |")
    return "\n".join(lines) + "\n"
