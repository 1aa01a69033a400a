"""What model.onnx would make onnxruntime do, read before onnxruntime sees it.

A folder may come from anywhere, and `onnx` is not installed beside the runtime. Every field is read; those of
which a folder has no use are refused, so that nothing can be hidden from the checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from e5_onnx.errors import ModelLoadError, UnsafeFolderError
from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME
from e5_onnx.model_folder.onnx_fields import Message, Value, read_fields

ALLOWED_DOMAINS: Final = frozenset({"", "ai.onnx", "com.microsoft"})

_DEEPEST_SUBGRAPH: Final = 8
# The largest real graph has 40,000.
_MOST_FIELDS: Final = 2_000_000
_OPSET_DOMAIN, _NODE_DOMAIN, _TENSOR_EXTERNAL, _ENTRY_KEY = 1, 7, 13, 1
_LONGEST_NUMBER: Final = 19  # digits of 2 ** 63


@dataclass(frozen=True, slots=True)
class GraphScan:
    """The findings of a scan.

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
        The facts of the graph.

    Raises:
        ModelLoadError: If it is not an ONNX file.
        UnsafeFolderError: If it uses operators of a third-party domain, data outside model.onnx.data, or
        unknown fields, functions and sparse tensors among them.
    """
    scanner = _Scanner(weights_size)
    try:
        scanner.message("model", memoryview(data))
    except (IndexError, UnicodeDecodeError) as error:
        raise ModelLoadError(GRAPH_NAME, "it is not an ONNX file") from error
    return GraphScan(tuple(sorted(scanner.extents)))


class _Scanner:
    def __init__(self, weights_size: int) -> None:
        self._weights_size = weights_size
        self.extents: set[tuple[int, int]] = set()
        self._depth = self._fields = 0
        self._checks: dict[tuple[Message, int], Callable[[Value], None]] = {
            ("opset", _OPSET_DOMAIN): _check_domain,
            ("node", _NODE_DOMAIN): _check_domain,
        }

    def message(self, kind: Message, data: memoryview) -> None:
        self._depth += kind == "graph"
        if self._depth > _DEEPEST_SUBGRAPH:
            raise UnsafeFolderError(GRAPH_NAME, f"it nests graphs more than {_DEEPEST_SUBGRAPH} deep")
        external: dict[str, str] = {}
        for number, value, inner in read_fields(kind, data):
            self._count()
            if (kind, number) in self._checks:
                self._checks[kind, number](value)
            if inner is not None:
                self.message(inner, _bytes(value))
            if (kind, number) == ("tensor", _TENSOR_EXTERNAL):
                _add_entry(external, _bytes(value))
        if external:
            self._check_external(external)
        self._depth -= kind == "graph"

    def _count(self) -> None:
        self._fields += 1
        if self._fields > _MOST_FIELDS:
            raise UnsafeFolderError(GRAPH_NAME, f"it has more than {_MOST_FIELDS} fields")

    def _check_external(self, entry: dict[str, str]) -> None:
        if entry.get("location") != WEIGHTS_NAME:
            raise UnsafeFolderError(GRAPH_NAME, f"it reads tensors from {entry.get('location')!r:.80}")
        offset, length = _number(entry, "offset"), _number(entry, "length")
        if offset + length > self._weights_size:
            raise UnsafeFolderError(
                GRAPH_NAME,
                f"it reads up to byte {offset + length} of {WEIGHTS_NAME}, which has {self._weights_size}",
            )
        self.extents.add((offset, length))


def _check_domain(value: Value) -> None:
    domain = str(_bytes(value), "utf-8")
    if domain not in ALLOWED_DOMAINS:
        raise UnsafeFolderError(GRAPH_NAME, f"it uses operators of domain {domain!r:.80}")


def _add_entry(entries: dict[str, str], data: memoryview) -> None:
    texts = {number: str(_bytes(value), "utf-8") for number, value, _ in read_fields("entry", data)}
    key = texts.pop(_ENTRY_KEY, "")
    if key in entries:
        raise UnsafeFolderError(GRAPH_NAME, f"an external tensor has {key!r:.80} twice")
    entries[key] = "".join(texts.values())


def _number(entry: dict[str, str], key: str) -> int:
    text = entry.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise UnsafeFolderError(GRAPH_NAME, f"an external tensor has {key} {text!r:.80}")
    return int(text)


def _bytes(value: Value) -> memoryview:
    return cast("memoryview", value)  # as the field's row in onnx_fields.py says
