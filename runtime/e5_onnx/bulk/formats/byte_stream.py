"""A file's bytes, decompressed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.text_input.records import WrongFormatError
from e5_onnx.text_input.text_files import Compression, InputFile


def open_bytes(file: InputFile) -> IO[bytes]:
    """Opens a file for reading in order.

    Raises:
        OSError: If it cannot be opened.
    """
    return _OPENERS[file.compression](file.path)


@contextmanager
def named_damage(file: InputFile) -> Iterator[None]:
    """Turns what decompressing and parsing libraries raise into an error that names the file.

    Raises:
        InputFileError: Instead of theirs.
    """
    try:
        yield
    except WrongFormatError as error:
        raise InputFileError(str(file), str(error)) from error
    except (pa.ArrowException, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputFileError(str(file), f"it is damaged, or not what its name says: {error}") from error
    except OSError as error:
        # pyarrow's own, of a broken stream, has no number; those of the system have.
        if error.errno is not None:
            raise
        raise InputFileError(str(file), f"it is damaged, or not what its name says: {error}") from error


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _gzip(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb"))


def _zstd(path: Path) -> IO[bytes]:
    path.open("rb").close()  # the system's own error, which names the file
    return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))


_OPENERS: Final[dict[Compression, Callable[[Path], IO[bytes]]]] = {
    "none": _plain,
    "gzip": _gzip,
    "zstd": _zstd,
}
