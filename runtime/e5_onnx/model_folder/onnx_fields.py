"""The protobuf encoding of model.onnx (https://protobuf.dev/programming-guides/encoding), read strictly.

Other readers pass over what they do not know, take the last of two values and keep 32 bits of a longer tag.
Two readers then see two models. Here every field has a row, and whatever has none is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from e5_onnx.errors import UnsafeFolderError
from e5_onnx.model_folder.manifest import GRAPH_NAME

Message = Literal[
    "model",
    "graph",
    "node",
    "attribute",
    "tensor",
    "entry",
    "opset",
    "value",
    "type",
    "array",
    "shape",
    "size",
]
Value = int | memoryview

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_WIRES: Final = (_VARINT, _FIXED64, _BYTES, _FIXED32)
_LONGEST_VARINT: Final = 10
_LAST_TAG: Final = 1 << 32
_END_OF_64_BITS: Final = 1 << 64

_NUMBER, _FLOAT, _TEXT = (_VARINT,), (_FIXED32,), (_BYTES,)
_NUMBERS, _FLOATS, _DOUBLES = (_VARINT, _BYTES), (_FIXED32, _BYTES), (_FIXED64, _BYTES)


@dataclass(frozen=True, slots=True)
class _Row:
    """How a field is written, whether it may be there more than once, and the message in it."""

    wires: tuple[int, ...]
    many: bool = False
    inner: Message | None = None


def _one(inner: Message) -> _Row:
    return _Row(_TEXT, inner=inner)


def _each(inner: Message) -> _Row:
    return _Row(_TEXT, many=True, inner=inner)


_A_NUMBER, _A_FLOAT, _A_TEXT, _TEXTS = _Row(_NUMBER), _Row(_FLOAT), _Row(_TEXT), _Row(_TEXT, many=True)
_MANY_NUMBERS, _MANY_FLOATS, _MANY_DOUBLES = _Row(_NUMBERS, True), _Row(_FLOATS, True), _Row(_DOUBLES, True)
_NOTES: Final = _each("entry")

# Numbers of onnx.proto, without what a model folder has no use for: functions, training, sparse tensors,
# segments, references to a function's attributes, overloads, other types than tensors.
_FIELDS: Final[dict[Message, dict[int, _Row]]] = {
    "model": {
        **dict.fromkeys((1, 5), _A_NUMBER),
        **dict.fromkeys((2, 3, 4, 6), _A_TEXT),
        7: _one("graph"),
        8: _each("opset"),
        14: _NOTES,
    },
    "opset": {1: _A_TEXT, 2: _A_NUMBER},
    "graph": {
        1: _each("node"),
        5: _each("tensor"),
        **dict.fromkeys((2, 10), _A_TEXT),
        **dict.fromkeys((11, 12, 13), _each("value")),
        16: _NOTES,
    },
    "node": {
        **dict.fromkeys((1, 2), _TEXTS),
        **dict.fromkeys((3, 4, 6, 7), _A_TEXT),
        5: _each("attribute"),
        9: _NOTES,
    },
    "attribute": {
        **dict.fromkeys((1, 4, 13), _A_TEXT),
        2: _A_FLOAT,
        **dict.fromkeys((3, 20), _A_NUMBER),
        5: _one("tensor"),
        6: _one("graph"),
        7: _MANY_FLOATS,
        8: _MANY_NUMBERS,
        9: _TEXTS,
        10: _each("tensor"),
        11: _each("graph"),
    },
    "tensor": {
        **dict.fromkeys((1, 5, 7, 11), _MANY_NUMBERS),
        **dict.fromkeys((2, 14), _A_NUMBER),
        4: _MANY_FLOATS,
        6: _TEXTS,
        **dict.fromkeys((8, 9, 12), _A_TEXT),
        10: _MANY_DOUBLES,
        **dict.fromkeys((13, 16), _NOTES),
    },
    "entry": {1: _A_TEXT, 2: _A_TEXT},
    "value": {**dict.fromkeys((1, 3), _A_TEXT), 2: _one("type"), 4: _NOTES},
    "type": {1: _one("array"), 6: _A_TEXT},
    "array": {1: _A_NUMBER, 2: _one("shape")},
    "shape": {1: _each("size")},
    "size": {1: _A_NUMBER, **dict.fromkeys((2, 3), _A_TEXT)},
}


def read_fields(message: Message, data: memoryview) -> Iterator[tuple[int, Value, Message | None]]:
    """Yields the fields of a message.

    Yields:
        Its number, what it holds, and the kind of message that is, if it is one.

    Raises:
        UnsafeFolderError: For a field that has no row, or is there twice where one is meant.
        IndexError: If it is not protobuf.
    """
    seen: set[int] = set()
    rows = _FIELDS[message]
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire not in _WIRES:
            raise IndexError
        row = rows.get(number)
        if tag >= _LAST_TAG or row is None or wire not in row.wires:
            raise UnsafeFolderError(GRAPH_NAME, f"it has a field {number} of kind {wire} in {message}")
        if number in seen and not row.many:
            raise UnsafeFolderError(GRAPH_NAME, f"it has field {number} twice in {message}")
        seen.add(number)
        value, position = _value(data, position, wire)
        yield number, value, row.inner


def _value(data: memoryview, position: int, wire: int) -> tuple[Value, int]:
    if wire == _VARINT:
        return _varint(data, position)
    if wire == _BYTES:
        size, position = _varint(data, position)
    else:
        size = _FIXED_SIZES[wire]
    if position + size > len(data):
        raise IndexError
    return data[position : position + size], position + size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            if value >= _END_OF_64_BITS:
                raise IndexError
            return value, position + index + 1
    raise IndexError
