"""What a run was begun with and which shards are done, kept so that no kill and no power cut can spoil it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from e5_onnx.atomic_file import atomic_file


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a shard; a line of the journal.

    Attributes:
        shard: Its index.
        rows: Of the input.
        written: Rows of the output.
        rejected: Bad rows.
        tokens: Of the texts, before any cutting.
        truncated: Texts that were cut.
        bytes: Size of the part.
    """

    shard: int
    rows: int
    written: int
    rejected: int
    tokens: int
    truncated: int
    bytes: int


def read_journal(path: Path) -> Iterator[Receipt]:
    """Yields what is done.

    A line that was being written when the power went is none, and what follows it was not written either.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    # What stands behind the last line's end is not a whole line.
    for line in lines[:-1]:
        try:
            yield Receipt(**json.loads(line))
        except (ValueError, TypeError):
            return


class Journal:
    """The file of receipts, open for more."""

    def __init__(self, path: Path, receipts: Iterable[Receipt]) -> None:
        """Opens it with what holds of its receipts: half a line, or one of a lost part, is gone then."""
        with atomic_file(path) as file:
            file.writelines(map(_line, receipts))
        self._file = path.open("ab")

    def add(self, receipt: Receipt) -> None:
        """Writes a receipt down; when this returns, it is there for good.

        Raises:
            OSError: If it cannot be written.
        """
        self._file.write(_line(receipt))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read_state(path: Path) -> dict[str, Any] | None:
    """What a run was begun with; None if there is none, or the power went before it was begun."""
    try:
        state = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Writes down what a run is begun with.

    Raises:
        OSError: If it cannot be written.
    """
    with atomic_file(path) as file:
        file.write(json.dumps(state, indent=2, ensure_ascii=False).encode() + b"\n")


def _line(receipt: Receipt) -> bytes:
    return json.dumps(asdict(receipt)).encode() + b"\n"
