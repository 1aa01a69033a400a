"""Which files an input is: names, folders and patterns to a list in a fixed order."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from e5_onnx.errors import OptionError

Format = Literal["parquet", "arrow", "csv", "tsv", "jsonl", "txt"]
Compression = Literal["none", "gzip", "zstd"]

_FORMATS: Final[dict[str, Format]] = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
}
_COMPRESSIONS: Final[dict[str, Compression]] = {".gz": "gzip", ".zst": "zstd"}
# These have compression of their own.
_WHOLE: Final = (".parquet", ".arrow", ".feather")

ENDINGS: Final = (
    f"{', '.join(_FORMATS)}, or {', '.join(ending for ending in _FORMATS if ending not in _WHOLE)} with "
    f"{' or '.join(_COMPRESSIONS)}"
)
_PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of texts.

    Attributes:
        path: Where it is.
        format: The format, by its name.
        compression: The compression around it, by its name.
    """

    path: Path
    format: Format
    compression: Compression

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """The files of an input.

    Attributes:
        files: In the order of the arguments, those of one argument by name.
        left_out: Files in its folders that have no known ending: how many of each ending.
    """

    files: list[InputFile]
    left_out: Mapping[str, int]


def find_files(inputs: Sequence[str]) -> FoundFiles:
    """Finds the files of an input.

    Args:
        inputs: Names of files; folders, for all in and under them that have a known ending; and patterns such
            as `part-*.jsonl.gz` or `corpus/**/*.parquet`. Files and folders whose names begin with `_` or
            `.` are found by their own name only.

    Raises:
        OptionError: If an argument names no file, one is named twice, or has an unknown ending.
    """
    files: list[InputFile] = []
    seen: set[Path] = set()
    left_out: Counter[str] = Counter()
    for name in inputs:
        found = list(_find(name, left_out))
        if not found:
            raise OptionError("inputs", name, f"a file, or what names files with the ending {ENDINGS}")
        for file in found:
            if file.path.resolve() in seen:
                raise OptionError("inputs", name, f"free of files that are named twice, as {file} is")
            seen.add(file.path.resolve())
        files += found
    return FoundFiles(files, left_out)


def is_pattern(name: str) -> bool:
    """Whether a name stands for others."""
    return bool(_PATTERN & set(name)) and not Path(name).exists()


def recognise(path: Path) -> InputFile | None:
    """Tells what a file is by the ending of its name, in any case; None for an unknown ending."""
    *_, before, last = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    compression = _COMPRESSIONS.get(last, "none")
    ending = last if compression == "none" else before
    if ending not in _FORMATS or (compression != "none" and ending in _WHOLE):
        return None
    return InputFile(path, _FORMATS[ending], compression)


def _find(name: str, left_out: Counter[str]) -> Iterator[InputFile]:
    path = Path(name)
    if path.is_dir():
        for below in sorted(path.rglob("*")):
            if below.is_file() and not _hidden(below, path):
                file = recognise(below)
                if file is not None:
                    yield file
                else:
                    left_out[below.suffix.lower() or "without an ending"] += 1
    elif not is_pattern(name):
        yield _known(path, name)
    else:
        for match in sorted(map(Path, glob.glob(name, recursive=True))):  # noqa: PTH207 - it may be absolute
            if match.is_file():
                yield _known(match, name)


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)


def _known(path: Path, name: str) -> InputFile:
    file = recognise(path)
    if file is None:
        found = name if name == str(path) else f"{name}: {path}"
        raise OptionError("inputs", found, f"a file with the ending {ENDINGS}")
    return file
