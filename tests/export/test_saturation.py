"""That rounded weights stay exact where a CPU adds pairs of products in 16 bits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.tape import Tape

from e5_onnx.inference.session import session_options
from e5_onnx.silent import onnxruntime
from e5_onnx_export.rounding.rounding import PAIR_LIMIT, largest_pair_sum


@pytest.mark.parametrize("tokens", [1, 2, 5, 40])
@pytest.mark.parametrize("prepacked", ["0", "1"])
def test_rounded_weights_are_exact_on_this_cpu_whatever_it_is(tokens: int, prepacked: str) -> None:
    """Weights at the limit and inputs of 255: kernels that add pairs in 16 bits must not saturate."""
    channels, columns = 130, 33
    generator = np.random.default_rng(7)
    signs = generator.choice([-1, 1], (channels // 2, columns))
    first = generator.integers(PAIR_LIMIT - 127, 128, (channels // 2, columns))
    weight = np.empty((channels, columns), np.int8)
    weight[0::2], weight[1::2] = first * signs, (PAIR_LIMIT - first) * signs
    assert (largest_pair_sum(weight) == PAIR_LIMIT).all()
    options = session_options(2, prepack=prepacked == "0")
    model = ir.serde.serialize_model(product_of(weight)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    q = np.full((tokens, channels), 255, np.uint8)
    (found,) = session.run(None, {"q": q, "scale": np.ones((tokens, 1), np.float32)})
    assert np.array_equal(found, (q.astype(np.int64) - 128) @ weight.astype(np.int64))


def product_of(weight: np.ndarray) -> ir.Model:
    """One MatMulIntegerToFloat with scales of 1."""
    tape = Tape()
    q = ir.Value(name="q", type=ir.TensorType(ir.DataType.UINT8), shape=ir.Shape([None, len(weight)]))
    scale = ir.Value(name="scale", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([None, 1]))
    constants = [
        tape.initializer(ir.tensor(weight, name="w")),
        scale,
        tape.initializer(ir.tensor(np.ones(weight.shape[1], np.float32), name="columns")),
        tape.initializer(ir.tensor(np.array(128, np.uint8), name="point")),
    ]
    product = tape.op("MatMulIntegerToFloat", [q, *constants], domain="com.microsoft", version=1)
    product.type = ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [q, scale], [product], nodes=tape.nodes, initializers=tape.initializers,
        opset_imports={"": 21, "com.microsoft": 1}, name="product",
    )  # fmt: skip
    return ir.Model(graph, ir_version=10)
