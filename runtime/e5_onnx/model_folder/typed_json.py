"""JSON objects to frozen dataclasses, by their type hints, naming the full path of whatever does not fit."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from e5_onnx.errors import ManifestError

T = TypeVar("T")


def read_dataclass(kind: type[T], values: object, path: str = "") -> T:
    """Builds a dataclass from a JSON object.

    Keys that the dataclass does not have are ignored; keys that it has a default for may be missing.

    Args:
        kind: A dataclass whose fields are str, int, float, bool, Any, a dataclass, an optional one of these,
            `dict[str, ...]` or a `tuple`.
        values: The object that `json.loads` returned.
        path: The position of `values` in the file, for messages.

    Returns:
        The dataclass.

    Raises:
        ManifestError: If a key is missing or a value has the wrong type.
    """
    if not isinstance(values, Mapping):
        raise ManifestError(path or "the top level", f"is {values!r:.80}, not an object")
    hints = get_type_hints(kind)
    arguments = {}
    for entry in fields(kind):  # type: ignore[arg-type]  # T is a dataclass
        where = f"{path}.{entry.name}" if path else entry.name
        if entry.name in values:
            arguments[entry.name] = _read(hints[entry.name], values[entry.name], where)
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise ManifestError(where, "is missing")
    return kind(**arguments)


def _read(kind: Any, value: Any, path: str) -> Any:  # noqa: ANN401 - the type is data here
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, Union):
        return None if value is None else _read(get_args(kind)[0], value, path)
    if origin in _READERS:
        return _READERS[origin](get_args(kind), value, path)
    if is_dataclass(kind):
        return read_dataclass(kind, value, path)  # type: ignore[arg-type]  # is_dataclass admits instances
    return _read_scalar(kind, value, path)


def _read_scalar(kind: Any, value: Any, path: str) -> Any:  # noqa: ANN401
    accepted = (int, float) if kind is float else kind
    # bool is an int in Python, but `true` is not a dimension.
    if isinstance(value, accepted) and (kind is bool or not isinstance(value, bool)):
        # An integer of 400 digits is valid JSON and no float.
        with suppress(OverflowError):
            return kind(value)
    raise ManifestError(path, f"is {value!r:.80}, not {kind.__name__}")


def _read_dict(kinds: tuple[Any, ...], value: Any, path: str) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise ManifestError(path, f"is {value!r:.80}, not an object")
    return {key: _read(kinds[1], item, f"{path}.{key}") for key, item in value.items()}


def _read_tuple(kinds: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:  # noqa: ANN401
    if not isinstance(value, list):
        raise ManifestError(path, f"is {value!r:.80}, not a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise ManifestError(path, f"is {value!r:.80}, not a list of {len(kinds)}")
    return tuple(
        _read(kind, item, f"{path}.{index}")
        for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


_READERS: Final[dict[Any, Callable[[tuple[Any, ...], Any, str], Any]]] = {
    dict: _read_dict,
    tuple: _read_tuple,
}
