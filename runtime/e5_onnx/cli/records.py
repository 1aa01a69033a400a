"""Inputs of commands: a file of lines, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from e5_onnx.errors import OptionError, RecordError
from e5_onnx.records import FORMATS, InputFormat, Record, bare_line, read_record, reason

STDIN: Final = "-"


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
        for number, line in enumerate(self.file, 1):
            try:
                yield read_record(self.format, bare_line(line, number), self.field)
            except (ValueError, RecursionError) as error:
                raise RecordError(self.name, number, reason(error)) from error

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
