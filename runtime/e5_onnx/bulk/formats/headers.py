"""Columns by their names, and the message where one is missing."""

from __future__ import annotations

from collections.abc import Sequence

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.text_files import InputFile


def check_columns(file: InputFile, names: Sequence[str], columns: Columns) -> None:
    """Looks for the columns among the names that a file has.

    Raises:
        InputFileError: If one is not there, or there twice.
    """
    for name in (columns.text_column, *columns.beside_text.values()):
        if (times := names.count(name)) != 1:
            parameter = {columns.text_column: "text_column", columns.id_column: "id_column"}.get(name, "keep")
            found = f"{times} columns" if times else "no column"
            has = ", ".join(map(repr, names)) or "none"
            raise InputFileError(str(file), f"it has {found} {name!r} (`{parameter}`); it has {has}")
