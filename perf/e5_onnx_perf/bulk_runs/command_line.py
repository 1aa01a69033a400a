"""What the commands about bulk runs share: their arguments, a corpus of real texts, a place for results."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e5_onnx.errors import OptionError
from e5_onnx.model_folder.folder import open_folder
from e5_onnx_perf.bulk_runs.corpus import write_corpus

BulkFigures = dict[str, Any]


def add_shared_arguments(parser: argparse.ArgumentParser, *, rows: int, results: str) -> None:
    """Adds the folder, the data, the corpus's size (so many rows by default) and where results go."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a model folder")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder that holds tatoeba/ (default: made-up texts of seeded words)",
    )
    parser.add_argument("--rows", type=int, default=rows, help="rows of the corpus (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder for {results} (default: none)")


def require_at_least(parsed: argparse.Namespace, least: Mapping[str, int]) -> None:
    """Checks numbers.

    Raises:
        OptionError: For the first that is too small.
    """
    for name, number in least.items():
        if getattr(parsed, name) < number:
            raise OptionError(name, getattr(parsed, name), f"at least {number}")


@contextmanager
def open_corpus(parsed: argparse.Namespace) -> Iterator[Path]:
    """Writes the corpus that the arguments ask for into a folder that is gone afterwards.

    What could make all the measuring useless is tried first: the model folder, and the place for results.

    Raises:
        FolderError: If the model folder is not sound.
        DataError: If a file of the data is missing, damaged or malformed.
        OSError: If the place for results cannot be made.
    """
    open_folder(parsed.folder)
    if parsed.out is not None:
        parsed.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="e5-perf-") as scratch:
        corpus = Path(scratch, "corpus.parquet")
        write_corpus(corpus, parsed.rows, model=parsed.folder, data=parsed.data)
        yield corpus
