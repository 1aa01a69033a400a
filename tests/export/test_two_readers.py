"""The runtime's reader of model.onnx against onnx's own: whatever passes is the same model to both."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from e5_onnx.errors import E5Error
from e5_onnx.model_folder.graph_scan import ALLOWED_DOMAINS, scan_graph

GRAPH = Path(__file__).parents[1] / "data" / "tiny_e5" / "model.onnx"
DATA = GRAPH.read_bytes()
SIZE = GRAPH.with_name("model.onnx.data").stat().st_size

pytestmark = pytest.mark.security


def tensors(message: Any) -> list[onnx.TensorProto]:
    """Every tensor, wherever it is, as protobuf's own reflection finds it."""
    found = [message] if isinstance(message, onnx.TensorProto) else []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                found += tensors(inner)
    return found


def check_both(data: bytes) -> bool:
    """Whether the scanner lets a file pass; then onnx must see the same extents, and nothing foreign."""
    try:
        extents = scan_graph(data, weights_size=SIZE).extents
    except E5Error:
        return False
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return True  # onnxruntime, which has the same reader, refuses it too
    entries = [{row.key: row.value for row in tensor.external_data} for tensor in tensors(model)]
    assert {(int(row["offset"]), int(row["length"])) for row in entries if row} == set(extents)
    assert {row["location"] for row in entries if row} <= {"model.onnx.data"}
    assert not model.functions
    assert not model.training_info
    assert {row.domain for row in model.opset_import} <= ALLOWED_DOMAINS
    assert {node.domain for node in model.graph.node} <= ALLOWED_DOMAINS
    return True


def test_a_real_graph_is_the_same_to_both() -> None:
    assert check_both(DATA)


@settings(max_examples=400, deadline=None)
@given(
    place=st.integers(0, len(DATA) - 1),
    removed=st.integers(0, 12),
    added=st.binary(max_size=12),
)
def test_changed_bytes(place: int, removed: int, added: bytes) -> None:
    check_both(DATA[:place] + added + DATA[place + removed :])


@settings(max_examples=400, deadline=None)
@given(
    number=st.integers(1, 2**29 - 1),
    wire=st.integers(0, 7),
    high=st.integers(0, 7),
    body=st.binary(max_size=9),
)
def test_added_fields(number: int, wire: int, high: int, body: bytes) -> None:
    tag, out = (high << 32) | (number << 3) | wire, b""
    while tag > 0x7F:
        out, tag = out + bytes([tag & 0x7F | 0x80]), tag >> 7
    check_both(DATA + out + bytes([tag, len(body)]) + body)


def test_every_field_that_onnx_has_is_known_or_refused() -> None:
    for field in onnx.ModelProto.DESCRIPTOR.fields:
        model = onnx.ModelProto()
        model.ParseFromString(DATA)
        with suppress(TypeError, ValueError):
            value = getattr(model, field.name)
            if field.message_type is not None and field.is_repeated:
                value.add()
            check_both(model.SerializeToString())
