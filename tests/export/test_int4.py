"""4-bit weights: rounding, packing, and what onnxruntime makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from tiny_models import InMemoryWeights

from e5_onnx.silent import onnxruntime
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.int4 import LINEAR_BLOCK, Int4Linear, Int4Table, table_block
from e5_onnx_export.graph.tables import WORD_TABLE
from e5_onnx_export.graph.tensors import Affine
from e5_onnx_export.graph.weight_file import WeightFile
from e5_onnx_export.rounding.four_bit import FourBit, round_to_int4, round_to_nearest, unpack
from e5_onnx_export.rounding.product_error import relative_error

WEIGHT = np.random.default_rng(0).normal(0, 1, (96, 40)).astype(np.float32)


def nearest(weight: np.ndarray) -> FourBit:
    return round_to_nearest(np.ascontiguousarray(weight.T), LINEAR_BLOCK)


@pytest.mark.parametrize("width", [16, 32, 96])
def test_weights_are_rounded_to_half_a_step(width: int) -> None:
    rows = np.ascontiguousarray(WEIGHT.T)
    packed = round_to_nearest(rows, width)
    assert packed.integers.shape == (40, 96 // width, width // 2)
    assert packed.zero_points.shape == (40, -(-96 // width // 2))
    blocks = np.abs(unpack(packed) - rows).reshape(40, -1, width)
    # The zero point is rounded too, which can cost the extremes another half step.
    assert (blocks <= packed.scales[..., None] * 1.0001).all()
    assert (blocks <= packed.scales[..., None] * 0.5001).mean() > 0.95


@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_even_blocks_come_back_as_they_are(value: float) -> None:
    rows = np.full((2, 64), value, np.float32)
    assert unpack(round_to_nearest(rows, 32)) == pytest.approx(rows)


def test_the_first_of_two_is_the_low_half() -> None:
    rows = np.arange(16, dtype=np.float32)[None]
    assert round_to_nearest(rows, 16).integers[0, 0].tolist() == [
        low + 16 * (low + 1) for low in range(0, 16, 2)
    ]


def correlated_inputs() -> np.ndarray:
    generator = np.random.default_rng(1)
    return (generator.normal(0, 1, (400, 12)) @ generator.normal(0, 1, (12, 96))).astype(np.float32)


def moment(inputs: np.ndarray) -> np.ndarray:
    return (inputs.T @ inputs / len(inputs)).astype(np.float32)


def test_compensated_rounding_is_nearer_on_its_inputs() -> None:
    inputs = correlated_inputs()
    truth = inputs @ WEIGHT
    plain = relative_error(inputs @ unpack(nearest(WEIGHT)).T, truth)
    better = relative_error(inputs @ unpack(round_to_int4(WEIGHT, moment(inputs), LINEAR_BLOCK)).T, truth)
    assert better < 0.5 * plain


def test_on_independent_inputs_it_is_plain_rounding() -> None:
    """Nothing to make good by: the Hessian is diagonal."""
    inputs = np.eye(96, dtype=np.float32)
    compensated = round_to_int4(WEIGHT, moment(inputs), LINEAR_BLOCK)
    assert (compensated.integers == nearest(WEIGHT).integers).all()
    assert (compensated.zero_points == nearest(WEIGHT).zero_points).all()


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    for inputs in (np.zeros((10, 96), np.float32), correlated_inputs() * (np.arange(96) > 40)):
        assert np.isfinite(unpack(round_to_int4(WEIGHT, moment(inputs), LINEAR_BLOCK))).all()


Author = Callable[[GraphBuilder, ir.Value], ir.Value]


def session(folder: Path, given: ir.Value, author: Author) -> onnxruntime.InferenceSession:
    with WeightFile(folder / "model.onnx.data") as weights:
        graph = GraphBuilder(weights)
        product = author(graph, given)
        product.type, product.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([None, None])
        graph.save(folder / "model.onnx", [given], [product])
    return onnxruntime.InferenceSession(str(folder / "model.onnx"))


@pytest.mark.parametrize("size", [0.0, 1e-40, 1.0, 1e4])
def test_the_kernel_multiplies_what_was_rounded_row_by_row(size: float, tmp_path: Path) -> None:
    packed = nearest(WEIGHT)
    given = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([None, 96]))
    affine = Affine(WEIGHT, np.random.default_rng(3).normal(0, size, 40).astype(np.float32))
    run = session(tmp_path, given, lambda graph, x: Int4Linear(packed).author(graph, x, affine, name="w"))
    x = (np.random.default_rng(2).normal(0, 1, (67, 96)) * size).astype(np.float32)
    found = run.run(None, {"x": x})[0]
    expected = x.astype(np.float64) @ unpack(packed).T + affine.bias
    # Activations are rounded to int8 in blocks of 32.
    assert np.abs(found - expected).max() <= 0.02 * max(np.abs(expected).max(), 1e-30)
    alone = np.concatenate([run.run(None, {"x": row[None]})[0] for row in x])
    # To the bit where the CPU has VNNI; with AVX2 alone a single row's blocks are summed in another order.
    assert np.abs(alone - found).max() <= 1e-6 * max(np.abs(expected).max(), 1e-30)


def test_the_table_gives_back_its_rows(tmp_path: Path) -> None:
    rows = np.random.default_rng(3).normal(0, 1, (50, 128)).astype(np.float32)
    given = ir.Value(name="x", type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([None]))
    weights = InMemoryWeights({WORD_TABLE: rows})
    run = session(tmp_path, given, lambda graph, x: Int4Table().author(graph, x, weights))
    tokens = np.array([0, 49, 7, 7])
    found = run.run(None, {"x": tokens})[0]
    assert found == pytest.approx(unpack(round_to_nearest(rows, 64))[tokens], abs=1e-6)


@pytest.mark.parametrize(("width", "block"), [(1024, 64), (384, 64), (32, 32), (48, 16), (40, 0)])
def test_blocks_of_the_table(width: int, block: int) -> None:
    assert table_block(width) == block
