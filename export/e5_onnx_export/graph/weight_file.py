"""model.onnx.data, written tensor after tensor in chunks, hashed on the way: no tensor is ever held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

# onnxruntime maps pages; a tensor that begins on its own page is mapped without its neighbour.
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Extent:
    """The place of a tensor in the file, in bytes."""

    offset: int
    length: int


class WeightFile:
    """Appends tensors to a file.

    Attributes:
        path: The file.
        sha256: The hash of everything, once the file is closed.
        size: Bytes written so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.sha256 = ""
        self._hash = hashlib.sha256()
        self._file = path.open("xb")

    def append(self, chunks: Iterable[NDArray[Any]]) -> Extent:
        """Writes one tensor, given as consecutive pieces of its rows, and returns where it lies."""
        self._write(b"\0" * (-self.size % _PAGE))
        start = self.size
        for chunk in chunks:
            self._write(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).data)
        return Extent(start, self.size - start)

    def close(self) -> None:
        """Closes the file; `sha256` is known from here on."""
        self._file.close()
        self.sha256 = self._hash.hexdigest()

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
