"""Vectors into files: .npy or .jsonl, complete or not at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import OptionError
from e5_onnx.machine.atomic_file import atomic_file
from e5_onnx.text_input.records import Record

STDOUT: Final = "-"
EMBEDDING: Final = "embedding"
# Room for any number of rows, so that the header can be written again when that number is known.
_HEADER_BYTES: Final = 128


class VectorWriter(Protocol):
    """Takes vectors, in order."""

    def write(self, records: Sequence[Record], vectors: NDArray[np.float32]) -> None:
        """Writes float32 [n, dimension] and, where the format has room for them, the n records."""

    def finish(self) -> None:
        """Completes the file."""


class JsonLines:
    """Each record with its vector under `embedding`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, records: Sequence[Record], vectors: NDArray[np.float32]) -> None:
        """Writes a line a record."""
        for record, vector in zip(records, vectors, strict=True):
            values = {key: value for key, value in record.values.items() if key != EMBEDDING}
            start = json.dumps(values, ensure_ascii=False).removesuffix("}") + (", " if values else "")
            # float32's own shortest digits: float64's would be twice as long and say no more.
            numbers = ", ".join(map(str, vector))
            self._file.write(f'{start}"{EMBEDDING}": [{numbers}]}}\n'.encode())

    def finish(self) -> None:
        """Passes everything on."""
        self._file.flush()


class NpyFile:
    """A NumPy array of unknown length: rows first, then the header that counts them."""

    def __init__(self, file: IO[bytes], dimension: int) -> None:
        self._file, self._dimension, self._rows = file, dimension, 0
        self._file.write(self._header())

    def write(self, records: Sequence[Record], vectors: NDArray[np.float32]) -> None:
        """Writes a row a vector."""
        self._file.write(np.ascontiguousarray(vectors, "<f4").tobytes())
        self._rows += len(vectors)

    def finish(self) -> None:
        """Writes the header again with the final number of rows."""
        self._file.seek(0)
        self._file.write(self._header())

    def _header(self) -> bytes:
        """Version 1.0 of the format, numpy.lib.format: magic, length, a Python literal padded with spaces."""
        shape = f"({self._rows}, {self._dimension})"
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        length = _HEADER_BYTES - 10
        return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n"


@contextmanager
def open_vector_writer(path: str, dimension: int) -> Iterator[VectorWriter]:
    """Opens an output by its name: `.npy`, `.jsonl`, or `-` for JSON lines on stdout.

    A file appears under its name only when it is complete.

    Raises:
        OSError: If it cannot be written; then there is none.
    """
    if path == STDOUT:
        lines = JsonLines(sys.stdout.buffer)
        yield lines
        lines.finish()
        return
    with atomic_file(Path(path)) as file:
        writer = NpyFile(file, dimension) if path.endswith(".npy") else JsonLines(file)
        yield writer
        writer.finish()


def check_output(path: str) -> None:
    """Refuses another ending.

    Raises:
        OptionError: If so.
    """
    if path != STDOUT and Path(path).suffix not in (".npy", ".jsonl"):
        raise OptionError("output", path, "a .npy or .jsonl file, or - for stdout")
