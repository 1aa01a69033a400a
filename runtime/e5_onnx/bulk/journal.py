"""What a run was started with and which shards are done; no kill and no power cut spoils it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from e5_onnx.machine.atomic_file import atomic_file


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of a shard: a line of the journal.

    Attributes:
        first: Its first row in the whole input.
        rows: The number of rows of the input.
        written: The number of vectors.
        rejected: The number of bad rows.
        tokens: The number of tokens of the texts, before any cutting.
        truncated: The number of texts that were cut.
        sha256: The hash of its part and of its bad rows.
    """

    first: int
    rows: int
    written: int
    rejected: int
    tokens: int
    truncated: int
    sha256: str


def read_journal(path: Path) -> Iterator[Receipt]:
    """Yields the receipts of finished shards.

    A line that a power cut left half written ends the journal: no whole line follows it.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    # What follows the last line's end is not a whole line.
    for line in lines[:-1]:
        receipt = _receipt(line)
        if receipt is None:
            return
        yield receipt


def _receipt(line: bytes) -> Receipt | None:
    """The receipt of a line; None if it is not one, such as with a value of another type."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    expected = {entry.name: str if entry.name == "sha256" else int for entry in fields(Receipt)}
    if not isinstance(values, dict) or values.keys() != expected.keys():
        return None
    is_right = all(type(values[name]) is kind for name, kind in expected.items())
    numbers = (value for value in values.values() if isinstance(value, int))
    return Receipt(**values) if is_right and min(numbers) >= 0 else None


class Journal:
    """The file of receipts, open for more."""

    def __init__(self, path: Path, receipts: Iterable[Receipt]) -> None:
        """Rewrites the journal with the receipts that hold, then opens it to append."""
        with atomic_file(path) as file:
            file.writelines(map(_line, receipts))
        self._file = path.open("ab")

    def add(self, receipt: Receipt) -> None:
        """Writes a receipt; when this returns, it survives a loss of power.

        Raises:
            OSError: If it cannot be written.
        """
        self._file.write(_line(receipt))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class RunState:
    """The settings of a run.

    Attributes:
        version: The version of the output's layout.
        settings: By name.
        input: The identity of each file, in order.
    """

    version: int
    settings: dict[str, Any]
    input: list[dict[str, Any]]


def read_state(path: Path) -> RunState | None:
    """Returns the settings of the run; None if the file is missing or incomplete."""
    try:
        values = json.loads(path.read_text("utf-8"))
        state = RunState(**values)
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    are_right = (
        isinstance(state.version, int)
        and isinstance(state.settings, dict)
        and isinstance(state.input, list)
        and all(isinstance(file, dict) for file in state.input)
    )
    return state if are_right else None


def write_state(path: Path, state: RunState) -> None:
    """Writes what a run is started with.

    Raises:
        OSError: If it cannot be written.
    """
    with atomic_file(path) as file:
        file.write(json.dumps(asdict(state), indent=2, ensure_ascii=False).encode() + b"\n")


def _line(receipt: Receipt) -> bytes:
    return json.dumps(asdict(receipt)).encode() + b"\n"
