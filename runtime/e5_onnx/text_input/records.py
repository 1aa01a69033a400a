"""Lines of files as texts: a text a line, or a JSON object a line."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, Literal, get_args

InputFormat = Literal["txt", "jsonl"]
FORMATS: Final[tuple[InputFormat, ...]] = get_args(InputFormat)

# A line is held in memory whole; one of this length is an accident, such as a file without line ends.
LONGEST: Final = 1 << 26

_MISSING: Final = object()
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF16_WITHOUT_MARK: Final = re.compile(rb"\0[^\0]\0[^\0]|[^\0]\0[^\0]\0")
_CONTINUES: Final = (b"{", b"[", b",", b":")


class WrongFormatError(ValueError):
    """A file that is not what its name says; the reader of the file adds its name."""


class MalformedRecordError(ValueError):
    """A line that is no record; the reader of the file adds the line's number.

    Attributes:
        values: The JSON object, if it is one.
    """

    def __init__(self, reason: str, values: dict[str, Any] | None = None) -> None:
        self.values = values or {}
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file.

    Attributes:
        number: From 1.
        data: Its bytes without its end; None for a line that is too long to be read.
    """

    number: int
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Record:
    """A text and where it comes from.

    Attributes:
        text: The text.
        values: The JSON object that holds it; of a line of text an object made for it.
        line: The number of its line, from 1.
    """

    text: str
    values: dict[str, Any]
    line: int


def read_lines(kind: InputFormat, stream: IO[bytes]) -> Iterator[Line]:
    """Yields the lines of a stream in bounded memory; of JSON lines those that are not blank.

    Raises:
        WrongFormatError: If the stream is UTF-16, or is JSON and not JSON lines.
    """
    lines = _lines(stream)
    return lines if kind == "txt" else _json_lines(lines)


def read_record(kind: InputFormat, line: Line, field: str) -> Record:
    """Reads a line.

    Args:
        kind: How texts stand in it.
        line: The line.
        field: The key of the text in a JSON object.

    Raises:
        ValueError: If it cannot be read; `reason` says why.
        RecursionError: If it is nested too deeply.
    """
    if line.data is None:
        raise MalformedRecordError(f"it is longer than {LONGEST:,} bytes")
    return _READERS[kind](line.data.decode("utf-8"), field, line.number)


def find_value(values: Mapping[str, Any], name: str, default: object = None) -> Any:  # noqa: ANN401 - JSON
    """The value under a name, or under a path into objects such as `meta.text`; else the default."""
    if name in values:
        return values[name]
    outer, dot, inner = name.partition(".")
    while dot:
        found = values.get(outer)
        if isinstance(found, dict) and (value := find_value(found, inner, _MISSING)) is not _MISSING:
            return value
        further, dot, inner = inner.partition(".")
        outer = f"{outer}.{further}"
    return default


def refuse_utf16(start: bytes) -> None:
    """Refuses a file that begins like UTF-16.

    Raises:
        WrongFormatError: If it does.
    """
    if start.startswith(_UTF16) or _UTF16_WITHOUT_MARK.match(start):
        raise WrongFormatError("it is UTF-16: convert it to UTF-8, such as with `iconv -f UTF-16 -t UTF-8`")


def reason(error: Exception) -> str:
    """Says what is wrong with a line, by the error that reading it raised."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8; convert the file to UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return f"it has a lone surrogate at character {error.start}, which is not valid Unicode"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return str(error)


def _lines(stream: IO[bytes]) -> Iterator[Line]:
    number = 0
    while data := stream.readline(LONGEST):
        number += 1
        is_whole = len(data) < LONGEST or data.endswith(b"\n")
        if number == 1:
            refuse_utf16(data)
            data = data.removeprefix(codecs.BOM_UTF8)
        if is_whole:
            yield Line(number, data.removesuffix(b"\n").removesuffix(b"\r"))
            continue
        while (rest := stream.readline(LONGEST)) and len(rest) == LONGEST and not rest.endswith(b"\n"):
            pass
        yield Line(number, None)


def _json_lines(lines: Iterator[Line]) -> Iterator[Line]:
    rows = (line for line in lines if line.data is None or line.data.strip())
    begin = [line for _, line in zip(range(2), rows, strict=False)]
    _refuse_json(*(line.data or b"" for line in begin))
    yield from begin
    yield from rows


def _refuse_json(first: bytes = b"", second: bytes = b"") -> None:
    """Refuses one JSON value over many lines, by the first two lines that are not blank."""
    first, second = first.strip(), second.strip()
    if first.startswith(b"["):
        raise WrongFormatError("it is a JSON array: write an object a line, such as with `jq -c '.[]'`")
    if first.startswith(b"{") and first.endswith(_CONTINUES) and not second.startswith(b"{"):
        raise WrongFormatError(
            "its JSON goes over several lines: write an object a line, such as with `jq -c .`"
        )


def _read_text(line: str, _field: str, number: int) -> Record:
    return Record(line, {"text": line}, number)


def _read_json(line: str, field: str, number: int) -> Record:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise MalformedRecordError(f"it is {type(values).__name__}, not a JSON object")
    text = find_value(values, field, _MISSING)
    if text is _MISSING:
        raise MalformedRecordError(
            f"it has no field {field!r}; it has {', '.join(map(repr, values))}: `text_column` names another",
            values,
        )
    if not isinstance(text, str):
        raise MalformedRecordError(f"field {field!r} is {type(text).__name__}, not a string", values)
    text.encode()  # a lone surrogate, written as an escape, is valid JSON and no text
    return Record(text, values, number)


_READERS: Final[dict[InputFormat, Callable[[str, str, int], Record]]] = {
    "txt": _read_text,
    "jsonl": _read_json,
}
