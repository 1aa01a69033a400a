"""Types of columns: of files that declare none, and of several files together."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import pyarrow as pa

from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk_job import ID

T = TypeVar("T")

_KINDS: Final[dict[type, str]] = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}
_INT64: Final = range(-(1 << 63), 1 << 63)
_TYPES: Final = (
    (frozenset({"bool"}), pa.bool_()),
    (frozenset({"int"}), pa.int64()),
    (frozenset({"int", "float"}), pa.float64()),
)
# No plus sign and no zero in front, as phone numbers have; no exponent without a sign, as codes have (12E4).
_INT: Final = re.compile(r"0|-?[1-9][0-9]*")
_FLOAT: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-][0-9]+)?")
_BOOLS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True, slots=True)
class ValueKinds:
    """The kinds of values in a column whose file declares no type.

    Attributes:
        found: The kinds that occur, out of `null`, `bool`, `int`, `float`, `str` and `other`.
        are_texts: Whether every value is a text in the file, so that the column can always be strings.
    """

    found: frozenset[str]
    are_texts: bool = False

    @property
    def has_values(self) -> bool:
        """Whether there is one that is not null."""
        return not self.found <= {"null"}


def json_kind(value: object) -> str:
    """The kind of a JSON value; `other` for arrays, objects, and whole numbers beyond 64 bits."""
    kind = _KINDS.get(type(value), "other")
    return "other" if isinstance(value, int) and value not in _INT64 else kind


def cell_kind(cell: str) -> str:
    """The kind of a cell of CSV, by its text."""
    if not cell:
        return "null"
    if cell in _BOOLS:
        return "bool"
    if _INT.fullmatch(cell):
        return "int" if int(cell) in _INT64 else "str"
    return "float" if _FLOAT.fullmatch(cell) else "str"


def type_of(kinds: Iterable[str]) -> pa.DataType:
    """The type of a column with values of these kinds; strings, if they have no other type in common."""
    present = frozenset(kinds) - {"null"}
    return next((kind for allowed, kind in _TYPES if present and present <= allowed), pa.string())


def json_value(value: object, entry: pa.Field) -> object:
    """A JSON value as a value of its column.

    Raises:
        UnicodeEncodeError: For a string that is no valid Unicode.
    """
    if value is None:
        return None
    if pa.types.is_floating(entry.type):
        return float(value)  # type: ignore[arg-type]  # the survey saw only numbers
    if entry.type != pa.string():
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text.encode()
    return text


def cell_value(cell: str, entry: pa.Field) -> object:
    """A cell of CSV as a value of its column; an empty one is null, and stays empty among strings but ids."""
    kind = entry.type
    if kind == pa.string() and (cell or entry.name != ID):
        return cell
    if not cell:
        return None
    if pa.types.is_boolean(kind):
        return _BOOLS[cell]
    return float(cell) if pa.types.is_floating(kind) else int(cell)


def value_or_null(convert: Callable[[T, pa.Field], object], value: T, entry: pa.Field) -> object:
    """A value of a bad row as a value of its column; None where it cannot be."""
    try:
        return pa.scalar(convert(value, entry), entry.type).as_py()
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def common_type(column: str, types: Mapping[str, pa.DataType | ValueKinds]) -> pa.DataType:
    """The type that a column of several files has in the output.

    Whole numbers of different widths become int64, others float64. A column of nothing but nulls goes with
    any other.

    Args:
        column: Its name, for messages.
        types: For each file the declared type of its column, or the kinds of its values.

    Raises:
        InputFileError: For the first file whose column does not go with those before it.
    """
    inferred = {
        file: kind for file, kind in types.items() if isinstance(kind, ValueKinds) and kind.has_values
    }
    declared = {
        file: kind for file, kind in types.items() if isinstance(kind, pa.DataType) and kind != pa.null()
    }
    chosen, chosen_by = None, ""
    for file, kind in declared.items():
        if chosen is not None and _merged(chosen, kind) is None:
            raise _conflict(column, file, kind, other=chosen_by, other_type=chosen)
        chosen, chosen_by = kind if chosen is None else _merged(chosen, kind), chosen_by or file
    if not inferred:
        return pa.string() if chosen is None else chosen
    possible = _possible_types(inferred.values())
    if chosen is None:
        return possible[0]
    for kind in possible:
        if (merged := _merged(chosen, kind)) is not None:
            return merged
    raise _conflict(column, next(iter(inferred)), possible[0], other=chosen_by, other_type=chosen)


def _possible_types(kinds: Collection[ValueKinds]) -> list[pa.DataType]:
    """The types that a column of such values can have, the best first."""
    best = type_of(frozenset().union(*(kind.found for kind in kinds)))
    numbers = [pa.float64()] if best == pa.int64() else []
    texts = [pa.string()] if all(kind.are_texts for kind in kinds) else []
    return [best, *numbers, *texts]


def _merged(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    if one == other:
        return one
    if pa.types.is_integer(one) and pa.types.is_integer(other) and pa.uint64() not in (one, other):
        return pa.int64()
    if pa.types.is_floating(one) and pa.types.is_floating(other):
        return pa.float64()
    return None


def _conflict(
    column: str, file: str, kind: pa.DataType, *, other: str, other_type: pa.DataType
) -> InputFileError:
    return InputFileError(
        file, f"column {column!r} is {kind}, in {other} it is {other_type}: make them alike"
    )
