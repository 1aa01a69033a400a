"""What model.onnx would make onnxruntime do, read before onnxruntime sees it.

A folder may come from anywhere, and `onnx` is not installed beside the runtime. Of the protobuf encoding
(https://protobuf.dev/programming-guides/encoding) this reads only what the checks need: which operator
domains are used and where external tensors lie. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e5_onnx.errors import ModelLoadError, UnsafeFolderError
from e5_onnx.manifest import GRAPH_NAME, WEIGHTS_NAME

ALLOWED_DOMAINS: Final = frozenset({"", "ai.onnx", "com.microsoft"})

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_DEEPEST_SUBGRAPH: Final = 8

_MODEL_GRAPH, _MODEL_OPSETS, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 8, 20, 25
_OPSET_DOMAIN = 1
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_ATTRIBUTE, _NODE_DOMAIN = 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_TENSOR_EXTERNAL = 13
_ENTRY_KEY, _ENTRY_VALUE = 1, 2

Field = tuple[int, "int | memoryview"]


@dataclass(frozen=True, slots=True)
class GraphScan:
    """What was found.

    Attributes:
        extents: Offset and length in bytes of every tensor in model.onnx.data, in order of offset.
    """

    extents: tuple[tuple[int, int], ...]


def scan_graph(data: bytes, *, weights_size: int) -> GraphScan:
    """Reads model.onnx and refuses what a model folder may not contain.

    Args:
        data: The whole file.
        weights_size: Bytes of model.onnx.data.

    Returns:
        What was found.

    Raises:
        ModelLoadError: If it is not an ONNX file.
        UnsafeFolderError: If it uses operators of a foreign domain, functions, or data outside
        model.onnx.data.
    """
    scanner = _Scanner(weights_size)
    try:
        scanner.model(memoryview(data))
    except (IndexError, UnicodeDecodeError, TypeError) as error:
        raise ModelLoadError(GRAPH_NAME, "it is not an ONNX file") from error
    return GraphScan(tuple(sorted(scanner.extents)))


class _Scanner:
    def __init__(self, weights_size: int) -> None:
        self.weights_size = weights_size
        self.extents: set[tuple[int, int]] = set()
        self._depth = 0

    def model(self, data: memoryview) -> None:
        for number, value in _fields(data):
            if number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
                raise UnsafeFolderError(GRAPH_NAME, "it defines functions or training steps")
            if number == _MODEL_OPSETS:
                for inner, domain in _fields(_bytes(value)):
                    if inner == _OPSET_DOMAIN:
                        _check_domain(domain)
            elif number == _MODEL_GRAPH:
                self.graph(_bytes(value))

    def graph(self, data: memoryview) -> None:
        self._depth += 1
        if self._depth > _DEEPEST_SUBGRAPH:
            raise UnsafeFolderError(GRAPH_NAME, f"it nests graphs more than {_DEEPEST_SUBGRAPH} deep")
        for number, value in _fields(data):
            if number == _GRAPH_NODE:
                self.node(_bytes(value))
            elif number == _GRAPH_INITIALIZER:
                self.tensor(_bytes(value))
            elif number == _GRAPH_SPARSE:
                raise UnsafeFolderError(GRAPH_NAME, "it has sparse tensors")
        self._depth -= 1

    def node(self, data: memoryview) -> None:
        for number, value in _fields(data):
            if number == _NODE_DOMAIN:
                _check_domain(value)
            elif number == _NODE_ATTRIBUTE:
                self.attribute(_bytes(value))

    def attribute(self, data: memoryview) -> None:
        for number, value in _fields(data):
            if number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                self.graph(_bytes(value))
            elif number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
                self.tensor(_bytes(value))

    def tensor(self, data: memoryview) -> None:
        entries = [_entry(_bytes(value)) for number, value in _fields(data) if number == _TENSOR_EXTERNAL]
        if entries:
            self.external(dict(entries))

    def external(self, entry: dict[str, str]) -> None:
        if entry.get("location") != WEIGHTS_NAME:
            raise UnsafeFolderError(GRAPH_NAME, f"it reads tensors from {entry.get('location')!r}")
        offset, length = _number(entry, "offset"), _number(entry, "length")
        if offset + length > self.weights_size:
            raise UnsafeFolderError(
                GRAPH_NAME,
                f"it reads up to byte {offset + length} of {WEIGHTS_NAME}, which has {self.weights_size}",
            )
        self.extents.add((offset, length))


def _check_domain(value: int | memoryview) -> None:
    domain = str(_bytes(value), "utf-8")
    if domain not in ALLOWED_DOMAINS:
        raise UnsafeFolderError(GRAPH_NAME, f"it uses operators of domain {domain!r}")


def _number(entry: dict[str, str], key: str) -> int:
    text = entry.get(key, "")
    if not (text.isascii() and text.isdigit()):
        raise UnsafeFolderError(GRAPH_NAME, f"an external tensor has {key} {text!r}")
    return int(text)


def _entry(data: memoryview) -> tuple[str, str]:
    texts = {number: str(_bytes(value), "utf-8") for number, value in _fields(data)}
    return texts.get(_ENTRY_KEY, ""), texts.get(_ENTRY_VALUE, "")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError
    return value


def _fields(data: memoryview) -> Iterator[Field]:
    """Yields the number and value of each field but the fixed-width ones, which no check needs."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            size, position = _varint(data, position)
        elif wire in _FIXED_SIZES:
            size = _FIXED_SIZES[wire]
        else:
            raise IndexError
        if position + size > len(data):
            raise IndexError
        if wire == _BYTES:
            yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, position
        if shift > 63:  # noqa: PLR2004 - longer than any 64-bit number
            raise IndexError
