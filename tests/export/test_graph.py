"""The authored graph against the NumPy forward pass: many variants, one truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tiny_models import BODIES as ALL_BODIES
from tiny_models import tiny_weights

from e5_onnx.inference.batching import pad
from e5_onnx.model_folder.manifest import Architecture
from e5_onnx.silent import onnxruntime
from e5_onnx_export.graph.activations import GELU_SCALES, SYMMETRIC, Activations, StaticScale
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.encoder import Encoder, Formats, float_formats
from e5_onnx_export.graph.int8 import Int8Linear, Int8Table
from e5_onnx_export.graph.linear_id import LinearId, linear_ids
from e5_onnx_export.graph.smoothing import Smoothing
from e5_onnx_export.graph.tensors import Affine, EncoderTensors
from e5_onnx_export.graph.weight_file import WeightFile
from e5_onnx_export.progress import QuietProgress
from e5_onnx_export.quantize.capture import InputSample, capture_inputs
from e5_onnx_export.reference.numpy_forward import NumpyReference
from e5_onnx_export.rounding.rounding import round_columns

Ids = Sequence[np.ndarray]

# Largest difference of a component.
TOLERANCE = {"fp32 and NumPy": 2e-6, "smoothed and not": 2e-5, "company": 1e-6}

# GroupQueryAttention takes heads of 8, 16, 24 ... channels.
SHAPES = {shape.body: replace(shape, hidden=32, heads=4, intermediate=64) for shape in ALL_BODIES}
BODIES = list(SHAPES)


def texts(seed: int, lengths: Sequence[int] = (1, 2, 7, 30, 3, 12)) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(5, 290, length) for length in lengths]


def author(
    folder: Path,
    shape: Architecture,
    *,
    pooling: str = "mean",
    smoothings=None,
    formats: Formats | None = None,
) -> Path:
    folder.mkdir(exist_ok=True)
    tensors = EncoderTensors(tiny_weights(shape), smoothings or {})
    Encoder(shape, tensors, pooling, formats or float_formats(shape)).author(folder, QuietProgress())  # type: ignore[arg-type]
    return folder


def open_session(folder: Path, *, threads: int = 1, optimised: bool = True, spinning: bool = False):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options)


def embed(session: onnxruntime.InferenceSession, ids: Ids) -> np.ndarray:
    grid, mask = pad(ids)
    return session.run(None, {"input_ids": grid, "attention_mask": mask})[0]


def truth(shape: Architecture, ids: Ids, pooling: str = "mean") -> np.ndarray:
    return NumpyReference(shape, tiny_weights(shape), pooling).embed(ids)  # type: ignore[arg-type]


def difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left - right).max())


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("body", BODIES)
def test_fp32_is_the_checkpoint(body: str, pooling: str, *, optimised: bool, tmp_path: Path) -> None:
    shape, ids = SHAPES[body], texts(0)
    session = open_session(author(tmp_path, shape, pooling=pooling), optimised=optimised)
    expected = truth(shape, ids, pooling)
    assert difference(embed(session, ids), expected) <= TOLERANCE["fp32 and NumPy"]
    alone = np.concatenate([embed(session, [row]) for row in ids])
    assert difference(alone, expected) <= TOLERANCE["fp32 and NumPy"]


@pytest.mark.parametrize("body", BODIES)
def test_padding_at_the_left_or_between_is_padding(body: str, tmp_path: Path) -> None:
    shape = SHAPES[body]
    session = open_session(author(tmp_path, shape))
    (row,) = texts(1, (9,))
    grid, mask = np.ones((3, 14), np.int64), np.zeros((3, 14), np.int64)
    for line, places in enumerate(
        (np.arange(9), np.arange(5, 14), np.delete(np.arange(14), [1, 3, 4, 8, 12]))
    ):
        grid[line, places], mask[line, places] = row, 1
    found = session.run(None, {"input_ids": grid, "attention_mask": mask})[0]
    assert difference(found, np.repeat(truth(shape, [row]), 3, axis=0)) <= TOLERANCE["fp32 and NumPy"]


@pytest.mark.parametrize("body", ["xlm-roberta", "roberta"])
def test_a_pad_id_inside_a_text_is_placed_as_transformers_places_it(body: str, tmp_path: Path) -> None:
    ids = [np.array([0, 1, 9, 1, 12, 2]), np.array([0, 7, 2])]
    session = open_session(author(tmp_path, SHAPES[body]))
    assert difference(embed(session, ids), truth(SHAPES[body], ids)) <= TOLERANCE["fp32 and NumPy"]


def random_smoothings(shape: Architecture) -> dict[LinearId, Smoothing]:
    generator = np.random.default_rng(5)
    chosen = {}
    for linear in linear_ids(shape):
        if linear.kind != "ffn_out":
            scale = np.exp(generator.normal(0, 1, shape.hidden)).astype(np.float32)
            chosen[linear] = Smoothing(scale, generator.normal(0, 0.5, shape.hidden).astype(np.float32))
    return chosen


@pytest.mark.parametrize("body", BODIES)
def test_smoothing_changes_nothing_but_the_rounding(body: str, tmp_path: Path) -> None:
    shape, ids = SHAPES[body], texts(2)
    session = open_session(author(tmp_path, shape, smoothings=random_smoothings(shape)))
    assert difference(embed(session, ids), truth(shape, ids)) <= TOLERANCE["smoothed and not"]


TOKEN: dict[str, Activations] = {
    "qkv": SYMMETRIC,
    "attention_out": SYMMETRIC,
    "ffn_in": SYMMETRIC,
    "ffn_out": GELU_SCALES[1],
}


def static_scale(seen: InputSample, kind: str) -> StaticScale:
    largest = float(max(seen.highest.max(), -seen.lowest.min()))
    return StaticScale(largest / 231, 24) if kind == "ffn_out" else StaticScale(largest / 127, 128)


@pytest.fixture(scope="module", params=["token", "static", "mixed"])
def int8_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape, folder = SHAPES["xlm-roberta"], tmp_path_factory.mktemp("int8")
    smoothings, linears = random_smoothings(shape), linear_ids(shape)
    full = author(folder / "full", shape, smoothings=smoothings)
    seen = capture_inputs(full, texts(9), linears)
    tensors = EncoderTensors(tiny_weights(shape), smoothings)
    static_kinds = {"token": (), "static": TOKEN, "mixed": ("qkv", "ffn_in")}[request.param]
    formats = {}
    for linear in linears:
        kind = linear.kind
        activations = static_scale(seen[linear], kind) if kind in static_kinds else TOKEN[kind]
        formats[linear] = Int8Linear(activations, round_columns(tensors.linear(linear).weight, 8))
    return author(folder, shape, smoothings=smoothings, formats=Formats(Int8Table(), formats))


SETTINGS = [
    {"threads": 1},
    {"threads": 2},
    {"threads": 2, "spinning": True},
    {"threads": 1, "optimised": False},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_int8_vectors_do_not_depend_on_company(settings: dict, int8_folder: Path) -> None:
    ids = texts(3, (1, 2, 5, 9, 17, 30, 4, 4))
    alone_at_first = np.concatenate([embed(open_session(int8_folder), [row]) for row in ids])
    session = open_session(int8_folder, **settings)
    generator = np.random.default_rng(7)
    for size in (1, 2, 3, 8):
        order = generator.permutation(len(ids))
        for start in range(0, len(ids), size):
            batch = order[start : start + size]
            found = embed(session, [ids[index] for index in batch])
            assert difference(found, alone_at_first[batch]) <= TOLERANCE["company"]


def test_int8_is_near_fp32(int8_folder: Path) -> None:
    ids = texts(4)
    cosine = (embed(open_session(int8_folder), ids) * truth(SHAPES["xlm-roberta"], ids)).sum(axis=1)
    assert cosine.min() > 0.98


def test_what_onnxruntime_makes_of_the_int8_graph(int8_folder: Path, tmp_path: Path) -> None:
    """No operator that would be slower, per tensor, or wrong: the row scale comes after a fused bias."""
    import onnx

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(int8_folder / "model.onnx"), options)
    graph = onnx.load(tmp_path / "optimised.onnx", load_external_data=False).graph
    kinds = {node.op_type for node in graph.node}
    slow = {"SkipLayerNormalization", "BiasGelu", "DynamicQuantizeLinear", "DynamicQuantizeMatMul"}
    assert kinds.isdisjoint(slow)
    products = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(products) == 4 * SHAPES["xlm-roberta"].layers
    # One scale, known before: with a scale a row the operator is slow, and wrong where it has a bias too.
    scalars = {tensor.name for tensor in graph.initializer if not tensor.dims}
    assert all(node.input[2] in scalars for node in products)


def one_linear(folder: Path, activations: Activations, weight: np.ndarray, bias: np.ndarray, bits: int = 8):
    """A session of one int8 linear, and what its rounded weight stands for."""
    rounded = round_columns(weight, bits)  # type: ignore[arg-type]
    channels, columns = weight.shape
    with WeightFile(folder / "model.onnx.data") as weights:
        graph = GraphBuilder(weights)
        given = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([None, channels]))
        product = Int8Linear(activations, rounded).author(graph, given, Affine(weight, bias), name="w")
        product.type, product.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([None, columns])
        graph.save(folder / "model.onnx", [given], [product])
    return open_session(folder), rounded.values * rounded.scales


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("row", ["zeros", "huge", "denormal", "ordinary"])
def test_a_row_by_itself(row: str, bits: int, tmp_path: Path) -> None:
    """One int8 linear on rows of every size: finite, and as near as its rounding allows."""
    generator = np.random.default_rng(0)
    weight = generator.normal(0, 1, (32, 16)).astype(np.float32)
    values = {"zeros": 0.0, "huge": 1e4, "denormal": 1e-40, "ordinary": 1.0}[row]
    x = (generator.normal(0, 1, (5, 32)) * values).astype(np.float32)
    session, _ = one_linear(tmp_path, SYMMETRIC, weight, np.zeros(16, np.float32), bits)
    found = session.run(None, {"x": x})[0]
    assert np.isfinite(found).all()
    expected = x.astype(np.float64) @ weight
    assert np.abs(found - expected).max() <= 0.2 * (np.abs(x).max() if values > 1e-30 else 1e-30)


LINEARS = {"token": SYMMETRIC, "token of GELU": GELU_SCALES[2], "static": StaticScale(0.02, 128)}
LINEARS["static of GELU"] = StaticScale(0.01, 24)


@pytest.mark.parametrize("activations", LINEARS.values(), ids=LINEARS)
def test_a_linear_is_the_product_of_what_was_rounded(activations: Activations, tmp_path: Path) -> None:
    """With its bias, and with static scales also where inputs leave the range."""
    generator = np.random.default_rng(1)
    weight, bias = generator.normal(0, 1, (32, 16)), generator.normal(0, 5, 16)
    x = generator.normal(0, 1, (40, 32)) * np.exp(generator.normal(0, 1, (40, 1)))
    x = np.maximum(x, -0.17 if "GELU" in str(activations) else -np.inf).astype(np.float32)
    session, left = one_linear(tmp_path, activations, weight.astype(np.float32), bias.astype(np.float32))
    expected = activations.round_trip(np.asarray(x, np.float32)).astype(np.float64) @ left + bias
    assert session.run(None, {"x": x})[0] == pytest.approx(expected, abs=1e-5 * np.abs(expected).max())


def test_static_scales_have_one_step_for_every_row() -> None:
    found = StaticScale(0.5, 16).round_trip(np.array([[0.3, 0.7, -0.2], [-9, 200, 1e9]], np.float32))
    assert found.tolist() == [[0.5, 0.5, 0.0], [-8.0, 119.5, 119.5]]
