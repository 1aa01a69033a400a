"""The bare integer product: the linears of a model on a batch's shapes, and nothing else. It is the limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from e5_onnx.model_folder.manifest import GRAPH_NAME
from e5_onnx.silent import onnxruntime
from e5_onnx_perf.peers import VectorRows
from e5_onnx_perf.speed.engine import EngineSpec
from e5_onnx_perf.speed.own_engines import EmbedderEngine

# The operators of an exported graph whose second input is a linear's weight [inputs, outputs].
_PRODUCTS: Final = ("MatMulIntegerToFloat", "MatMulInteger", "MatMul")
_LARGEST: Final = 127


class ProductEngine(EmbedderEngine):
    """MatMulInteger of uint8 [tokens, inputs] with int8 [inputs, outputs], once for each linear."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__(spec)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = spec.threads
        # Nothing is to be done but the product, and it is not to be found superfluous.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        shapes = linear_shapes(Path(spec.path, GRAPH_NAME))
        self._session = onnxruntime.InferenceSession(
            product_graph(shapes).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = sorted({inputs for inputs, _ in shapes})
        self.setting = (
            f"MatMulInteger of {len(shapes)} linears, all tokens of a request, {spec.threads} threads"
        )

    def ready(self, texts: Sequence[str]) -> Callable[[], VectorRows]:
        """Multiplies as many rows as the texts have tokens; returns no vectors."""
        tokens = sum(len(row[: self._model.max_tokens]) for row in self._model.tokenize(texts, role="raw"))
        drawn = np.random.default_rng(0)
        feeds = {_row(size): drawn.integers(0, 256, (tokens, size), np.uint8) for size in self._inputs}

        def run() -> VectorRows:
            self._session.run(None, feeds)
            return np.empty((len(texts), 0), np.float32)

        return run


def linear_shapes(graph: Path) -> list[tuple[int, int]]:
    """Inputs and outputs of each linear of a model folder's graph."""
    model = onnx.load(graph, load_external_data=False).graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.initializer}
    found = [weights.get(node.input[1], ()) for node in model.node if node.op_type in _PRODUCTS]
    return [(shape[0], shape[1]) for shape in found if len(shape) == 2]  # noqa: PLR2004


def product_graph(shapes: Sequence[tuple[int, int]]) -> onnx.ModelProto:
    """A graph of one product for each shape, with a weight of its own.

    Only the shape of a product is given out: its memory serves the next one.
    """
    drawn, helper = np.random.default_rng(0), onnx.helper
    nodes, weights, outputs = [], [], []
    for number, (inputs, made) in enumerate(shapes):
        weight, product, shape = (f"{kind}.{number}" for kind in ("weight", "product", "shape"))
        values = drawn.integers(-_LARGEST, _LARGEST + 1, (inputs, made), np.int8)
        weights.append(onnx.numpy_helper.from_array(values, weight))
        nodes.append(helper.make_node("MatMulInteger", [_row(inputs), weight], [product]))
        nodes.append(helper.make_node("Shape", [product], [shape]))
        outputs.append(helper.make_tensor_value_info(shape, onnx.TensorProto.INT64, [2]))
    rows = [
        helper.make_tensor_value_info(_row(size), onnx.TensorProto.UINT8, ["tokens", size])
        for size in sorted({inputs for inputs, _ in shapes})
    ]
    graph = helper.make_graph(nodes, "products", rows, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _row(size: int) -> str:
    return f"rows.{size}"


def load(spec: EngineSpec) -> ProductEngine:
    """Opens the folder and makes the products.

    Raises:
        FolderError: If it is not sound.
    """
    return ProductEngine(spec)
