"""Lines of files as texts: a text a line, or a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

InputFormat = Literal["txt", "jsonl"]
FORMATS: Final[tuple[InputFormat, ...]] = get_args(InputFormat)

BOM: Final = b"\xef\xbb\xbf"


class MalformedRecordError(ValueError):
    """A line that is JSON and no record; whoever reads the file adds where it stands.

    Attributes:
        values: The object, if it is one.
    """

    def __init__(self, reason: str, values: dict[str, Any] | None = None) -> None:
        self.values = values or {}
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Record:
    """One text and the JSON object that it came in, or was put in."""

    text: str
    values: dict[str, Any]


def bare_line(line: bytes, number: int) -> bytes:
    """A line without its end, and the first (number 1) without a byte order mark."""
    data = line.removesuffix(b"\n").removesuffix(b"\r")
    return data.removeprefix(BOM) if number == 1 else data


def read_record(kind: InputFormat, data: bytes, field: str) -> Record:
    """Reads a line.

    Args:
        kind: How texts stand in it.
        data: The line without its end.
        field: The key of the text in a JSON object.

    Raises:
        ValueError: If it cannot be read; `reason` says why.
        RecursionError: If it is nested too deeply.
    """
    return _READERS[kind](data.decode("utf-8"), field)


def reason(error: Exception) -> str:
    """Says what is wrong with a line, by the error that reading it raised."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8; convert the file to UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return f"it has a lone surrogate at character {error.start}, which is not valid Unicode"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return str(error)


def _read_text(line: str, _field: str) -> Record:
    return Record(line, {"text": line})


def _read_json(line: str, field: str) -> Record:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise MalformedRecordError(f"it is {type(values).__name__}, not a JSON object")
    if field not in values:
        raise MalformedRecordError(
            f"it has no field {field!r}; `field` names another (it has {', '.join(values)})", values
        )
    text = values[field]
    if not isinstance(text, str):
        raise MalformedRecordError(f"field {field!r} is {type(text).__name__}, not a string", values)
    text.encode()  # a lone surrogate, written as an escape, is valid JSON and no text
    return Record(text, values)


_READERS: Final[dict[InputFormat, Callable[[str, str], Record]]] = {"txt": _read_text, "jsonl": _read_json}
