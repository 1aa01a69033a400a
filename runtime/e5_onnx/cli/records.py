"""Texts out of files: one a line, or one a JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, get_args

from e5_onnx.errors import OptionError, RecordError

InputFormat = Literal["txt", "jsonl"]
FORMATS: Final[tuple[InputFormat, ...]] = get_args(InputFormat)

STDIN: Final = "-"
_BOM: Final = b"\xef\xbb\xbf"


class _MalformedRecordError(ValueError):
    """A line that is JSON and no record; RecordError adds where it stands."""


@dataclass(frozen=True, slots=True)
class Record:
    """One text and the JSON object that it came in, or was put in."""

    text: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """An open input.

    Attributes:
        name: For messages.
        format: How texts stand in it.
        field: The key of the text in a JSON object.
        file: Bytes.
        size: In bytes, if that is known.
    """

    name: str
    format: InputFormat
    field: str
    file: IO[bytes]
    size: int | None

    def records(self) -> Iterator[Record]:
        """Yields the records, a line each.

        Raises:
            RecordError: Naming the line, if it cannot be read.
        """
        read = _READERS[self.format]
        for number, line in enumerate(self.file, 1):
            data = line.removesuffix(b"\n").removesuffix(b"\r")
            if number == 1:
                data = data.removeprefix(_BOM)
            try:
                yield read(data.decode("utf-8"), self.field)
            except (ValueError, RecursionError) as error:
                raise RecordError(self.name, number, _reason(error)) from error

    def done(self) -> float | None:
        """The part of the file that was read, 0 to 1, if its size is known."""
        return self.file.tell() / self.size if self.size else None


@contextmanager
def open_source(path: str, field: str, stdin_format: InputFormat) -> Iterator[Source]:
    """Opens an input by its name: `.txt`, `.jsonl`, or `-` for stdin.

    Raises:
        OptionError: For another ending.
        OSError: If the file cannot be opened.
    """
    if path == STDIN:
        yield Source("<stdin>", stdin_format, field, sys.stdin.buffer, None)
        return
    suffix = Path(path).suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise OptionError("INPUT", path, "a .txt or .jsonl file, or - for stdin")
    with Path(path).open("rb") as file:
        size = Path(path).stat().st_size
        yield Source(path, "txt" if suffix == "txt" else "jsonl", field, file, size)


def _read_text(line: str, _field: str) -> Record:
    return Record(line, {"text": line})


def _read_json(line: str, field: str) -> Record:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise _MalformedRecordError(f"it is {type(values).__name__}, not a JSON object")
    if field not in values:
        raise _MalformedRecordError(
            f"it has no field {field!r}; --field names another (it has {', '.join(values)})"
        )
    text = values[field]
    if not isinstance(text, str):
        raise _MalformedRecordError(f"field {field!r} is {type(text).__name__}, not a string")
    text.encode()  # a lone surrogate, written as an escape, is valid JSON and no text
    return Record(text, values)


_READERS: Final[dict[InputFormat, Callable[[str, str], Record]]] = {"txt": _read_text, "jsonl": _read_json}


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8; convert the file to UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return f"it has a lone surrogate at character {error.start}, which is not valid Unicode"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return str(error)
