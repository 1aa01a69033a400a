"""Which files an input is: names, folders and patterns to a list in a fixed order."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from e5_onnx.errors import OptionError

Compression = Literal["none", "gzip", "zstd"]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A kind of file.

    Attributes:
        name: Its name in this program.
        endings: The endings of its files.
        reader: The module of `e5_onnx.bulk.formats` that reads it.
        has_compression: True if the format has its own compression and takes none around it.
    """

    name: str
    endings: tuple[str, ...]
    reader: str
    has_compression: bool = False


FILE_FORMATS: Final = (
    FileFormat("parquet", (".parquet",), "parquet", has_compression=True),
    FileFormat("arrow", (".arrow", ".feather"), "arrow", has_compression=True),
    FileFormat("csv", (".csv",), "csv"),
    FileFormat("tsv", (".tsv",), "csv"),
    FileFormat("jsonl", (".jsonl", ".ndjson"), "jsonl"),
    FileFormat("txt", (".txt",), "txt"),
)
_BY_ENDING: Final = {ending: one for one in FILE_FORMATS for ending in one.endings}
_COMPRESSIONS: Final[dict[str, Compression]] = {".gz": "gzip", ".zst": "zstd"}


def _endings(*, has_compression: bool) -> str:
    return ", ".join(ending for ending, one in _BY_ENDING.items() if one.has_compression == has_compression)


ENDINGS: Final = (
    f"{_endings(has_compression=True)}, or {_endings(has_compression=False)} alone or with "
    f"{' or '.join(_COMPRESSIONS)}"
)
_PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of texts.

    Attributes:
        path: The path of the file.
        format: Its row.
        compression: The compression around it, by its name.
    """

    path: Path
    format: FileFormat
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


def recognise_format(path: Path) -> InputFile | None:
    """Tells what a file is by the ending of its name, in any case; None for an unknown ending."""
    *_, before, last = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    compression = _COMPRESSIONS.get(last, "none")
    ending = last if compression == "none" else before
    known = _BY_ENDING.get(ending)
    if known is None or (compression != "none" and known.has_compression):
        return None
    return InputFile(path, known, compression)


def _find(name: str, left_out: Counter[str]) -> Iterator[InputFile]:
    path = Path(name)
    if path.is_dir():
        for below in sorted(path.rglob("*")):
            if below.is_file() and not _hidden(below, path):
                file = recognise_format(below)
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
    file = recognise_format(path)
    if file is None:
        found = name if name == str(path) else f"{name}: {path}"
        raise OptionError("inputs", found, f"a file with the ending {ENDINGS}")
    return file
