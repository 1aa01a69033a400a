"""The input before any work: is it all there, is it the same as before, how much is it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats import survey
from e5_onnx.bulk.formats.jsonl import type_of
from e5_onnx.bulk_job import Columns, IdentityKind
from e5_onnx.digest import file_sha256
from e5_onnx.text_files import InputFile


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a file is known again by.

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
        rows: Of each file.
        beside: Names and types, in the output, of the columns beside the text.
    """

    files: list[InputFile]
    rows: list[int]
    beside: pa.Schema


def identify(file: InputFile, kind: IdentityKind) -> FileIdentity:
    """Says what a file is known again by; for `content` it reads all of it.

    Raises:
        OSError: If it cannot be read.
    """
    facts = file.path.stat()
    mark = f"mtime:{facts.st_mtime_ns}" if kind == "mtime" else f"sha256:{file_sha256(file.path)}"
    return FileIdentity(file.path.name, facts.st_size, mark)


def look_through(
    files: Sequence[InputFile], columns: Columns, tell: Callable[[int], object] = lambda _: None
) -> Survey:
    """Counts the rows of every file and finds out the types of the columns.

    Args:
        files: The input.
        columns: Which columns are read.
        tell: Called with the number of files done, after each.

    Raises:
        InputFileError: If one cannot be read, has not the columns, or has others of other types.
        OSError: If one cannot be read at all.
    """
    shapes = []
    for done, file in enumerate(files, 1):
        shapes.append(survey(file, columns))
        tell(done)
    beside = [
        pa.field(name, _common_type(source, [shape.types[name] for shape in shapes], files))
        for name, source in columns.beside_text.items()
    ]
    return Survey(list(files), [shape.rows for shape in shapes], pa.schema(beside))


def _common_type(
    name: str, types: Sequence[pa.DataType | frozenset[str]], files: Sequence[InputFile]
) -> pa.DataType:
    kinds: frozenset[str] = frozenset().union(*(kind for kind in types if isinstance(kind, frozenset)))
    chosen, chosen_by = None, ""
    for kind, file in zip(types, files, strict=True):
        found = type_of(kinds) if isinstance(kind, frozenset) else kind
        # A column of nothing but nulls goes with any other.
        if found == pa.null() or (isinstance(kind, frozenset) and kinds <= {"null"}):
            continue
        if chosen is not None and found != chosen:
            reason = f"column {name!r} is {found}, in {chosen_by} it is {chosen}: make them alike"
            raise InputFileError(str(file), reason)
        chosen, chosen_by = found, str(file)
    return pa.string() if chosen is None else chosen
