"""Inputs of commands: a file of lines, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from e5_onnx.errors import OptionError, RecordError
from e5_onnx.text_input.records import (
    FORMATS,
    InputFormat,
    Record,
    WrongFormatError,
    read_lines,
    read_record,
    reason,
)
from e5_onnx.text_input.text_files import recognise_format

STDIN: Final = "-"
_LINES: Final[dict[str, InputFormat]] = {kind: kind for kind in FORMATS}


@dataclass(frozen=True, slots=True)
class RecordSource:
    """An open input.

    Attributes:
        name: For messages.
        format: How texts stand in it.
        column: The key of the text in a JSON object.
        file: Bytes.
        size: In bytes, if that is known.
    """

    name: str
    format: InputFormat
    column: str
    file: IO[bytes]
    size: int | None

    def records(self) -> Iterator[Record]:
        """Yields the records, a line each.

        Raises:
            RecordError: Naming the line, if it cannot be read.
        """
        try:
            for line in read_lines(self.format, self.file):
                try:
                    yield read_record(self.format, line, self.column)
                except (ValueError, RecursionError) as error:
                    raise RecordError(self.name, line.number, reason(error)) from error
        except WrongFormatError as error:
            raise RecordError(self.name, 1, str(error)) from error

    def check(self) -> None:
        """Reads all records and returns to the start, where the file can be read twice.

        Raises:
            RecordError: Naming the first bad line.
        """
        if self.size is not None:
            for _ in self.records():
                pass
            self.file.seek(0)

    def done(self) -> float | None:
        """The part of the file that was read, 0 to 1, if its size is known."""
        return self.file.tell() / self.size if self.size else None


@contextmanager
def open_source(parameter: str, path: str, column: str, *, stdin: InputFormat) -> Iterator[RecordSource]:
    """Opens an input by its name: `.txt`, `.jsonl`, or `-` for stdin.

    Args:
        parameter: The parameter that names it, for messages.
        path: Its name.
        column: The key of the text in a JSON object.
        stdin: The format of stdin.

    Raises:
        OptionError: For another ending.
        OSError: If the file cannot be opened.
    """
    if path == STDIN:
        yield RecordSource("<stdin>", stdin, column, sys.stdin.buffer, None)
        return
    known = recognise_format(Path(path))
    kind = None if known is None or known.compression != "none" else _LINES.get(known.format.name)
    if kind is None:
        raise OptionError(parameter, path, "a .txt or .jsonl file, or - for stdin")
    with Path(path).open("rb") as file:
        size = Path(path).stat().st_size if Path(path).is_file() else None
        yield RecordSource(path, kind, column, file, size)
