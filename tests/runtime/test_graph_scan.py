from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e5_onnx.errors import E5Error, ModelLoadError, UnsafeFolderError
from e5_onnx.model_folder.graph_scan import scan_graph

pytestmark = pytest.mark.security

WEIGHTS = "model.onnx.data"


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def overlong(number: int, data: bytes) -> bytes:
    """A field whose tag has a bit beyond the 32 that some readers keep."""
    return varint(number << 3 | 2 | 1 << 32) + varint(len(data)) + data


def external(location: str = WEIGHTS, offset: str = "0", length: str = "8") -> bytes:
    entries = (("location", location), ("offset", offset), ("length", length))
    return b"".join(field(13, field(1, key) + field(2, value)) for key, value in entries)


def model(*graph_fields: bytes, extra: Iterable[bytes] = ()) -> bytes:
    opsets = field(8, field(1, "") + field(2, 21)) + field(8, field(1, "com.microsoft") + field(2, 1))
    return field(1, 10) + opsets + field(7, b"".join(graph_fields)) + b"".join(extra)


def node(domain: str, attribute: bytes = b"") -> bytes:
    return field(1, field(4, "Add") + field(7, domain) + (field(5, attribute) if attribute else b""))


def nested(depth: int) -> bytes:
    graph = node("")
    for _ in range(depth):
        graph = field(1, field(5, field(6, graph)))
    return graph


def test_the_tiny_folders_tensors_lie_where_the_file_has_them(tiny_folder: Path) -> None:
    size = (tiny_folder / WEIGHTS).stat().st_size
    extents = scan_graph((tiny_folder / "model.onnx").read_bytes(), weights_size=size).extents
    assert extents
    assert extents[0][0] == 0
    assert all(offset + length <= after for (offset, length), (after, _) in pairwise(extents))
    assert sum(extents[-1]) == size


def test_extents_are_sorted_and_counted_once() -> None:
    first, second = field(5, external(offset="8", length="4")), field(5, external(length="8"))
    in_attribute = node("", field(5, external(offset="12", length="1")))
    data = model(first, second, first, in_attribute)
    assert scan_graph(data, weights_size=13).extents == ((0, 8), (8, 4), (12, 1))


def test_inline_tensors_and_fixed_width_fields_are_passed_over() -> None:
    fixed = varint(2 << 3 | 5) + b"\0" * 4
    doubles = varint(10 << 3 | 1) + b"\0" * 8
    data = model(node("ai.onnx", fixed), field(5, field(9, b"raw") + doubles + doubles))
    assert scan_graph(data, weights_size=0).extents == ()


REFUSED = {
    "foreign operator": (model(node("evil.domain")), "operators of domain 'evil.domain'"),
    "foreign operator in a subgraph": (model(field(1, field(5, field(6, node("x"))))), "domain 'x'"),
    "foreign operator in subgraphs": (model(field(1, field(5, field(11, node("x"))))), "domain 'x'"),
    "foreign opset": (model(extra=[field(8, field(1, "evil"))]), "domain 'evil'"),
    "functions": (model(extra=[field(25, b"")]), "field 25 of kind 2 in model"),
    "training": (model(extra=[field(20, b"")]), "field 20 of kind 2 in model"),
    "sparse tensors": (model(field(15, b"")), "field 15 of kind 2 in graph"),
    "a sparse attribute": (model(node("", field(22, b""))), "field 22 of kind 2 in attribute"),
    "sparse attributes": (model(node("", field(23, b""))), "field 23 of kind 2 in attribute"),
    "a segment of a tensor": (model(field(5, field(3, b""))), "field 3 of kind 2 in tensor"),
    "a field of a later onnx": (model(field(99, b"")), "field 99 of kind 2 in graph"),
    "external data behind a long tag": (
        model(field(5, overlong(13, field(1, "location") + field(2, "tokenizer.json")))),
        "in tensor",
    ),
    "functions behind a long tag": (model(extra=[overlong(25, b"")]), "in model"),
    "a foreign opset behind a long tag": (model(extra=[overlong(8, field(1, "evil"))]), "in model"),
    "a second graph": (model() + field(7, node("")), "field 7 twice in model"),
    "a second domain": (model(field(1, field(7, "") + field(7, ""))), "field 7 twice in node"),
    "a second tensor": (
        model(node("", field(5, external()) + field(5, external()))),
        "field 5 twice in attribute",
    ),
    "a location twice": (model(field(5, external() + external())), "has 'location' twice"),
    "a number as text": (model(node("", field(3, b"x"))), "field 3 of kind 2 in attribute"),
    "a graph as a number": (field(7, 5), "field 7 of kind 0 in model"),
    "endless digits": (model(field(5, external(offset="9" * 5000))), "offset '9999"),
    "another file": (model(field(5, external(location="/etc/passwd"))), "from '/etc/passwd'"),
    "a file outside": (model(field(5, external(location="../x"))), r"from '\.\./x'"),
    "no location": (model(field(5, field(13, field(1, "offset") + field(2, "0")))), "from None"),
    "past the end": (
        model(field(5, external(offset="95", length="10"))),
        "byte 105 of model.onnx.data, which has 100",
    ),
    "negative offset": (model(field(5, external(offset="-1"))), "offset '-1'"),
    "offset in other digits": (model(field(5, external(offset="٣"))), "offset '٣'"),
    "nested too deep": (model(nested(9)), "more than 8 deep"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_folder_may_not_contain(name: str) -> None:
    data, message = REFUSED[name]
    with pytest.raises(UnsafeFolderError, match=message):
        scan_graph(data, weights_size=100)


def test_seven_nested_graphs_are_read() -> None:
    assert scan_graph(model(nested(7)), weights_size=0).extents == ()


MALFORMED = {
    "text": b"this is not protobuf at all",
    "cut in a varint": b"\x80",
    "endless varint": b"\x08" + b"\xff" * 12,
    "length past the end": field(7, b"x" * 10)[:-5],
    "unknown wire type": varint(7 << 3 | 3),
    "a number beyond 64 bits": b"\x08" + b"\xff" * 9 + b"\x7f",
    "cut in a fixed number": model(node("", varint(2 << 3 | 5) + b"\0")),
    "domain not UTF-8": model(field(1, field(7, b"\xff\xfe"))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_onnx(name: str) -> None:
    with pytest.raises(ModelLoadError, match=r"model.onnx cannot be loaded: it is not an ONNX file"):
        scan_graph(MALFORMED[name], weights_size=100)


@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_result_or_an_error_of_ours(data: bytes) -> None:
    with suppress(E5Error):
        scan_graph(data, weights_size=100)


def test_the_number_of_fields_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e5_onnx.model_folder.graph_scan._MOST_FIELDS", 20)
    with pytest.raises(UnsafeFolderError, match="more than 20 fields"):
        scan_graph(model(*[node("")] * 20), weights_size=0)
