"""Validates, identifies and counts the input before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from e5_onnx.bulk.column_types import common_type
from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats import survey
from e5_onnx.bulk_job import Columns, IdentityKind
from e5_onnx.model_folder.digest import file_sha256
from e5_onnx.text_input.text_files import InputFile


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """The values that show whether a file changed.

    Attributes:
        name: Without its folders, which may be mounted elsewhere the next time.
        bytes: Its size.
        mark: `sha256:` with the hash of its content, or `mtime:` with nanoseconds.
    """

    name: str
    bytes: int
    mark: str


@dataclass(frozen=True, slots=True)
class Survey:
    """An input.

    Attributes:
        files: In order.
        rows: The number of rows of each file.
        beside: Names and types, in the output, of the columns beside the text.
        stamps: Size and time of change of each file, from before it was read.
    """

    files: list[InputFile]
    rows: list[int]
    beside: pa.Schema
    stamps: list[tuple[int, int]]

    def require_unchanged(self, number: int) -> None:
        """Checks that a file is still the one that was counted.

        Raises:
            InputFileError: If it was changed since.
            OSError: If it is gone.
        """
        file = self.files[number]
        if stamp(file) != self.stamps[number]:
            raise InputFileError(
                str(file), "it was changed while the run read it: run again once it is whole"
            )


def stamp(file: InputFile) -> tuple[int, int]:
    """Size and time of change of a file, in bytes and nanoseconds.

    Raises:
        OSError: If it is gone.
    """
    facts = file.path.stat()
    return facts.st_size, facts.st_mtime_ns


def identify(file: InputFile, kind: IdentityKind) -> FileIdentity:
    """Returns what shows that a file is the same as before; for `content` it reads all of it.

    Raises:
        OSError: If it cannot be read.
    """
    facts = file.path.stat()
    mark = f"mtime:{facts.st_mtime_ns}" if kind == "mtime" else f"sha256:{file_sha256(file.path)}"
    return FileIdentity(file.path.name, facts.st_size, mark)


def look_through(files: Sequence[InputFile], columns: Columns) -> Survey:
    """Counts the rows of every file and finds the types of the columns.

    Args:
        files: The input.
        columns: The columns that are read.

    Raises:
        InputFileError: If a file cannot be read, lacks a column, or has a column of another type.
        OSError: If a file cannot be read at all.
    """
    stamps = [stamp(file) for file in files]
    shapes = {str(file): survey(file, columns) for file in files}
    beside = [
        pa.field(name, common_type(source, {file: shape.types[name] for file, shape in shapes.items()}))
        for name, source in columns.beside_text.items()
    ]
    return Survey(list(files), [shape.rows for shape in shapes.values()], pa.schema(beside), stamps)
