"""Whatever a hostile folder holds, each way to open it either works or raises an E5Error."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from runtime_folders import edit, relist

from e5_onnx import Embedder
from e5_onnx.errors import E5Error
from e5_onnx.verify import verify_folder

pytestmark = pytest.mark.security

Harm = Callable[[Path], object]
GOLDEN, GRAPH = "golden.npz", "model.onnx"
HUGE = (10**6 + 1, 10**9, 10**12, 10**18, 10**30)


def embed(folder: Path) -> None:
    with Embedder(folder, threads=1) as model:
        model.embed_documents(["a", "the moon", "b"])


def embed_verified(folder: Path) -> None:
    with Embedder(folder, threads=1, verify=True) as model:
        model.embed_documents("a")


def verify(folder: Path) -> None:
    verify_folder(folder, threads=1)


WAYS = (embed, embed_verified, verify)


def manifest(**changes: object) -> Harm:
    return lambda folder: edit(folder, lambda values: values.update(changes))


def architecture(name: str, value: object) -> Harm:
    def harm(folder: Path) -> None:
        edit(folder, lambda values: values["architecture"].update({name: value}))
        edit(folder, lambda values: values.update(dimension=value))

    return harm


def listed(name: str, size: object = 1) -> Harm:
    entry = {"bytes": size, "sha256": "0" * 64}
    return lambda folder: edit(folder, lambda values: values["files"].update({name: entry}))


def header(kind: str, shape: str) -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def golden_member(name: str, data: bytes) -> Harm:
    def harm(folder: Path) -> None:
        with np.load(folder / GOLDEN) as stored:
            arrays = {key: value for key, value in stored.items() if key != name}
        np.savez(folder / GOLDEN, **arrays)
        with zipfile.ZipFile(folder / GOLDEN, "a") as archive:
            archive.writestr(f"{name}.npy", data)
        relist(folder, GOLDEN)

    return harm


def golden_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Harm:
    def harm(folder: Path) -> None:
        with np.load(folder / GOLDEN) as stored:
            arrays = dict(stored)
        np.savez(folder / GOLDEN, **{**arrays, name: change(arrays[name])})
        relist(folder, GOLDEN)

    return harm


def golden_archive(*, flags: int = 0, method: int = 0) -> Harm:
    """Sets the flags and the method of every entry, in both of its headers."""

    def harm(folder: Path) -> None:
        data = bytearray((folder / GOLDEN).read_bytes())
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            found = data.find(mark)
            while found >= 0:
                data[found + at] |= flags
                data[found + at + 2 : found + at + 4] = method.to_bytes(2, "little")
                found = data.find(mark, found + 4)
        (folder / GOLDEN).write_bytes(data)
        relist(folder, GOLDEN)

    return harm


def field(number: int, value: bytes | str | int) -> bytes:
    """A field of a protobuf message; sizes up to 2 ** 14."""
    if isinstance(value, int):
        return bytes([number << 3 | 128, number >> 4, value]) if number > 15 else bytes([number << 3, value])
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(data) & 127 | 128, len(data) >> 7]) + data


def tensor_type(name: str, element: int) -> bytes:
    return field(1, name) + field(2, field(1, field(1, element)))


def graph_that_gives(values: np.ndarray) -> Harm:
    """A graph whose output is always this, whatever goes in."""
    dims = b"".join(field(1, size) for size in values.shape)
    tensor = dims + field(2, 1) + field(9, values.astype("<f4").tobytes())
    attribute = field(1, "value") + field(5, tensor) + field(20, 4)
    node = field(2, "sentence_embedding") + field(4, "Constant") + field(5, attribute)
    inputs = b"".join(field(11, tensor_type(name, 7)) for name in ("input_ids", "attention_mask"))
    graph = field(1, node) + field(2, "g") + inputs + field(12, tensor_type("sentence_embedding", 1))
    return raw_graph(field(1, 10) + field(8, field(1, "") + field(2, 21)) + field(7, graph))


def graph_with_offset(text: str) -> Harm:
    entries = (("location", "model.onnx.data"), ("offset", text), ("length", "4"))
    external = b"".join(field(13, field(1, key) + field(2, value)) for key, value in entries)
    tensor = field(1, 1) + field(2, 1) + field(8, "w") + external + field(14, 1)
    return raw_graph(field(1, 10) + field(8, field(1, "") + field(2, 21)) + field(7, field(5, tensor)))


def raw_graph(data: bytes) -> Harm:
    def harm(folder: Path) -> None:
        (folder / GRAPH).write_bytes(data)
        relist(folder, GRAPH)
        edit(folder, lambda values: values["files"]["model.onnx.data"].pop("sampled_sha256"))

    return harm


def unit(rows: int) -> np.ndarray:
    return np.eye(rows, 32, dtype=np.float32)


# A golden.npz is read by verify alone.
MANIFESTS: dict[str, Harm] = {
    **{f"dimension {value:.0e}": manifest(dimension=value) for value in HUGE},
    **{f"hidden and dimension {value:.0e}": architecture("hidden", value) for value in HUGE},
    **{f"max_tokens {value:.0e}": manifest(max_tokens=value) for value in HUGE},
    "dimension 0": manifest(dimension=0),
    "dimension of 5000 digits": lambda folder: (folder / "e5.json").write_text(
        (folder / "e5.json").read_text("utf-8").replace('"dimension": 32', f'"dimension": {"9" * 5000}'),
        "utf-8",
    ),
    "onnxruntime_min of 5000 digits": manifest(onnxruntime_min="1." + "9" * 5000),
    "onnxruntime_min of other digits": manifest(onnxruntime_min="1.²"),
    "onnxruntime_min without digits": manifest(onnxruntime_min="one"),
    "onnxruntime_min empty": manifest(onnxruntime_min=""),
    "file name of 300 characters": listed("a" * 300),
    "file name of 200 wide characters": listed("語" * 200),
    "file name with a zero": listed("a\0b"),
    "file name with half a character": listed("\ud800"),
    "file of a negative size": listed("tokenizer.json", -1),
    "file of 10^30 bytes": listed("model.onnx.data", 10**30),
    "brackets": lambda folder: (folder / "e5.json").write_text("[" * 100_000, "utf-8"),
}
GRAPHS: dict[str, Harm] = {
    "twice as many rows": graph_that_gives(unit(6)),
    "half a row": graph_that_gives(unit(1)[0]),
    "a scalar": graph_that_gives(np.array(1, np.float32)),
    "one component": graph_that_gives(np.ones((3, 1))),
    "no component": graph_that_gives(np.ones((3, 0))),
    "three axes": graph_that_gives(unit(3)[:, None]),
    "not a number": graph_that_gives(np.full((3, 32), np.nan)),
    "offset of 5000 digits": graph_with_offset("9" * 5000),
    "offset of other digits": graph_with_offset("²"),
    "nothing": raw_graph(b""),
}
GOLDENS: dict[str, Harm] = {
    "shape 10^15": golden_member("texts", header("<U9", "(1000000000000000,)")),
    "texts without letters": golden_member("texts", header("<U0", "(1000000000000,)")),
    "void ids": golden_member("ids", header("|V0", "(1000000000000,)")),
    "minus signs": golden_member("texts", b"\x93NUMPY\x01\x00\x50\x00" + b"-" * 79 + b"1"),
    "brackets": golden_member("texts", b"\x93NUMPY\x01\x00\x50\x00" + b"(" * 80),
    "codepoint beyond Unicode": golden_member("texts", header("<U1", "(1,)") + b"\xff\xff\xff\x7f"),
    "half a character": golden_array("texts", lambda texts: np.full_like(texts, "\ud800")),
    "encrypted": golden_archive(flags=1),
    "unknown method": golden_archive(method=99),
    "labelled deflate": golden_archive(method=8),
    "labelled bz2": golden_archive(method=12),
    "labelled lzma": golden_archive(method=14),
    "vectors [1, 1]": golden_array("vectors", lambda vectors: vectors[:1, :1].copy()),
    "vectors [1, 7]": golden_array("vectors", lambda vectors: vectors[:1, :7].copy()),
    "vectors [n, 1]": golden_array("vectors", lambda vectors: vectors[:, :1].copy()),
    "tolerance infinite": golden_array("tolerance", lambda _: np.array(np.inf)),
    "ids beyond the vocabulary": golden_array("ids", lambda ids: ids + 10**9),
}
TABLE = [
    *(pytest.param(harm, WAYS, id=f"e5.json: {name}") for name, harm in MANIFESTS.items()),
    *(pytest.param(harm, WAYS, id=f"model.onnx: {name}") for name, harm in GRAPHS.items()),
    *(pytest.param(harm, (verify,), id=f"golden.npz: {name}") for name, harm in GOLDENS.items()),
]


@pytest.mark.parametrize(("harm", "refusing"), TABLE)
def test_every_refusal_is_an_error_of_ours(
    harm: Harm, refusing: tuple[Callable[[Path], None], ...], tiny_folder_copy: Path
) -> None:
    harm(tiny_folder_copy)
    for way in refusing:
        with pytest.raises(E5Error):
            way(tiny_folder_copy)


def test_the_graph_made_here_is_one_that_runs(tiny_folder_copy: Path) -> None:
    """So that the table's graphs are refused for their output."""
    graph_that_gives(unit(3))(tiny_folder_copy)
    embed(tiny_folder_copy)
