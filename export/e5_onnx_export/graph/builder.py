"""Nodes and weights of a graph under construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.tape import Tape

from e5_onnx_export.graph.weight_file import WeightFile

OPSET: Final = 21  # the first with block-wise QuantizeLinear
IR_VERSION: Final = 10  # the IR version of opset 21
CONTRIB: Final = "com.microsoft"

# Below this, a tensor stays inside model.onnx: shape constants and scalars that shape inference wants to see.
_INLINE_BYTES: Final = 1024

Attributes = Mapping[str, int | float | str | Sequence[int] | ir.TensorProtocol]


class GraphBuilder:
    """Records nodes and streams their weights to the external data file."""

    def __init__(self, weight_file: WeightFile) -> None:
        self._tape = Tape()
        self._weights = weight_file
        self._initializers: dict[str, ir.Value] = {}

    def op(
        self,
        kind: str,
        inputs: Sequence[ir.Value | None],
        attributes: Attributes | None = None,
        *,
        domain: str = "",
    ) -> ir.Value:
        """Adds a node with one output and returns that output."""
        return self._tape.op(kind, inputs, attributes, domain=domain, version=1 if domain else OPSET)

    def contrib(
        self, kind: str, inputs: Sequence[ir.Value | None], attributes: Attributes | None = None
    ) -> ir.Value:
        """Adds a node of onnxruntime's own operator set."""
        return self.op(kind, inputs, attributes, domain=CONTRIB)

    def constant(self, name: str, array: NDArray[Any]) -> ir.Value:
        """Adds a constant; the same name gives the same constant."""
        if name not in self._initializers:
            if array.nbytes > _INLINE_BYTES:
                return self.weight(name, [array], shape=array.shape, dtype=array.dtype)
            tensor = ir.Tensor(array, name=name)
            self._register(name, tensor)
        return self._initializers[name]

    def scalar(self, value: float, dtype: type[np.generic] = np.float32) -> ir.Value:
        """Adds a rank-0 constant, shared by all that use the same value and type."""
        return self.constant(f"scalar.{np.dtype(dtype)}.{value:g}", np.array(value, dtype))

    def indices(self, *values: int) -> ir.Value:
        """Adds a rank-1 int64 constant: axes and shapes."""
        return self.constant("indices." + ".".join(map(str, values)), np.array(values, np.int64))

    def weight(
        self, name: str, chunks: Iterable[NDArray[Any]], *, shape: Sequence[int], dtype: np.dtype[Any]
    ) -> ir.Value:
        """Streams a tensor to the external file, given as consecutive pieces of its first axis."""
        extent = self._weights.append(chunks)
        tensor = ir.ExternalTensor(
            location=self._weights.path.name,
            offset=extent.offset,
            length=extent.length,
            dtype=ir.DataType.from_numpy(np.dtype(dtype)),
            shape=ir.Shape(shape),
            name=name,
            base_dir=self._weights.path.parent,
        )
        self._register(name, tensor)
        return self._initializers[name]

    def save(self, path: Path, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]) -> None:
        """Writes model.onnx; the weights are in their file already."""
        graph = ir.Graph(
            inputs,
            outputs,
            nodes=self._tape.nodes,
            initializers=list(self._initializers.values()),
            opset_imports={"": OPSET, CONTRIB: 1},
            name="e5",
        )
        model = ir.Model(graph, ir_version=IR_VERSION, producer_name="e5-onnx")
        ir.save(model, path)

    def _register(self, name: str, tensor: ir.TensorProtocol) -> None:
        self._initializers[name] = ir.Value(
            name=name,
            shape=ir.Shape(tensor.shape.numpy()),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
