"""STS-B in eleven languages: pairs of sentences and how alike people found them (PhilipMay/stsb-multi-mt)."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx_perf.accuracy.data_folder import DataFiles
from e5_onnx_perf.errors import DataError

LANGUAGES: Final = ("de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt", "ru", "zh")
_HIGHEST: Final = 5.0
_COLUMNS: Final = 3


@dataclass(frozen=True, slots=True)
class Pairs:
    """One language's test set.

    Attributes:
        left: First sentences.
        right: Second sentences.
        scores: float64, 0 to 5.
    """

    left: list[str]
    right: list[str]
    scores: NDArray[np.float64]


def read_pairs(data: DataFiles, language: str, limit: int | None = None) -> Pairs:
    """Reads `stsb/stsb-LANGUAGE-test.csv`.

    Args:
        data: The folder of the file.
        language: One of `LANGUAGES`.
        limit: Pairs to keep, the first; at least 1.

    Raises:
        DataError: Naming file and line.
    """
    if language not in LANGUAGES:
        raise DataError("stsb", f"there is no language {language!r}; there are {', '.join(LANGUAGES)}")
    name = f"stsb/stsb-{language}-test.csv"
    rows = list(_read_rows(data.find(name), name))
    if not rows:
        raise DataError(name, "it is empty")
    left, right, scores = zip(*rows[:limit], strict=True)
    if len(set(scores)) == 1:
        raise DataError(name, f"all its {len(scores)} scores are {scores[0]}: nothing can be put in order")
    return Pairs(list(left), list(right), np.array(scores))


def _read_rows(file: Path, name: str) -> Iterator[tuple[str, str, float]]:
    with file.open(encoding="utf-8", newline="") as opened:
        reader = csv.reader(opened, strict=True)
        try:
            # A quoted sentence may take several lines: its row is named by the last of them.
            for row in reader:
                yield _read_row(row, name, reader.line_num)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(name, str(error), line=reader.line_num + 1) from error


def _read_row(row: list[str], name: str, line: int) -> tuple[str, str, float]:
    if len(row) != _COLUMNS:
        raise DataError(name, f"{len(row)} columns, not sentence, sentence, score", line=line)
    try:
        score = float(row[2])
    except ValueError as error:
        raise DataError(name, f"the score is {row[2]!r}", line=line) from error
    if not 0 <= score <= _HIGHEST:
        raise DataError(name, f"the score is {score}, not 0 to 5", line=line)
    return row[0], row[1], score
