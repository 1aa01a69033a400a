"""Graphs of one attention each: packed Q, K and V of a batch in, contexts out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.tape import Tape

from e5_onnx.inference.session import session_options
from e5_onnx.silent import onnxruntime

_OPSET: Final = 23  # the first with Attention
_IR_VERSION: Final = 11
_CONTRIB: Final = "com.microsoft"
_FAR_BELOW: Final = -1e9

Attributes = Mapping[str, int | Sequence[int]]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Values of a graph under construction.

    Attributes:
        tape: Where its nodes go.
        qkv: float32 [B, S, 3H].
        lengths: int32 [B]: tokens of each text.
        heads: How many.
        hidden: H.
        constants: Of the graph, added to by `constant`.
    """

    tape: Tape
    qkv: ir.Value
    lengths: ir.Value
    heads: int
    hidden: int
    constants: list[ir.Value]

    def op(
        self, kind: str, inputs: Sequence[ir.Value | None], attributes: Attributes | None = None
    ) -> ir.Value:
        """Adds a node of ONNX with one output."""
        return self.tape.op(kind, inputs, attributes, version=_OPSET)

    def contrib(
        self, kind: str, inputs: Sequence[ir.Value | None], attributes: Attributes | None = None
    ) -> ir.Value:
        """Adds a node of onnxruntime's own with one output."""
        return self.tape.op(kind, inputs, attributes, domain=_CONTRIB, version=1)

    def constant(self, array: NDArray[Any]) -> ir.Value:
        """Adds a constant."""
        tensor = ir.Tensor(array, name=f"constant{len(self.constants)}")
        value = ir.Value(
            name=tensor.name,
            shape=ir.Shape(array.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.constants.append(value)
        return value

    def split(self) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Q, K and V, float32 [B, S, H] each."""
        q, k, v = self.tape.op_multi_out(
            "Split", [self.qkv], {"axis": -1, "num_outputs": 3}, num_outputs=3, version=_OPSET
        )
        return q, k, v

    def columns(self) -> ir.Value:
        """S, int64 scalar."""
        return self.op("Gather", [self.op("Shape", [self.qkv]), self.constant(np.array(1, np.int64))])

    def real(self) -> ir.Value:
        """Which keys are real: bool [B, 1, 1, S]."""
        zero, one = (self.constant(np.array(number, np.int64)) for number in (0, 1))
        places = self.op("Range", [zero, self.columns(), one])
        lengths = self.op("Reshape", [self.lengths, self.constant(np.array([-1, 1, 1, 1], np.int64))])
        return self.op("Less", [places, self.op("Cast", [lengths], {"to": ir.DataType.INT64})])


def group_query(inputs: Inputs) -> ir.Value:
    """As the exporter writes it: with as many key heads as query heads; skips padded keys."""
    last = inputs.op("Sub", [inputs.lengths, inputs.constant(np.array(1, np.int32))])
    longest = inputs.op("Cast", [inputs.columns()], {"to": ir.DataType.INT32})
    return inputs.contrib(
        "GroupQueryAttention",
        [inputs.qkv, None, None, None, None, last, longest],
        {"num_heads": inputs.heads, "kv_num_heads": inputs.heads, "causal": 0},
    )


def multi_head(inputs: Inputs) -> ir.Value:
    """The MultiHeadAttention of onnxruntime, with the lengths as mask."""
    return inputs.contrib(
        "MultiHeadAttention", [*inputs.split(), None, inputs.lengths], {"num_heads": inputs.heads}
    )


def multi_head_unmasked(inputs: Inputs) -> ir.Value:
    """The same without a mask: only right where all texts are as long."""
    return inputs.contrib("MultiHeadAttention", inputs.split(), {"num_heads": inputs.heads})


def standard(inputs: Inputs) -> ir.Value:
    """ONNX's own Attention with a mask."""
    mask = inputs.op("Expand", [inputs.real(), _square(inputs)])
    return inputs.op("Attention", [*inputs.split(), mask], _standard_heads(inputs))


def standard_unmasked(inputs: Inputs) -> ir.Value:
    """ONNX's own Attention without one: only right where all texts are as long."""
    return inputs.op("Attention", inputs.split(), _standard_heads(inputs))


def products(inputs: Inputs) -> ir.Value:
    """Two products with a Softmax between them."""
    size = inputs.hidden // inputs.heads
    shape = inputs.constant(np.array([0, 0, inputs.heads, size], np.int64))
    q, k, v = (
        inputs.op("Transpose", [inputs.op("Reshape", [part, shape])], {"perm": order})
        for part, order in zip(inputs.split(), ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
    )
    scale = inputs.constant(np.array(1 / math.sqrt(size), np.float32))
    scores = inputs.op("MatMul", [inputs.op("Mul", [q, scale]), k])
    far = inputs.constant(np.array(_FAR_BELOW, np.float32))
    weights = inputs.op("Softmax", [inputs.op("Where", [inputs.real(), scores, far])], {"axis": -1})
    context = inputs.op("Transpose", [inputs.op("MatMul", [weights, v])], {"perm": [0, 2, 1, 3]})
    return inputs.op("Reshape", [context, inputs.constant(np.array([0, 0, inputs.hidden], np.int64))])


def _standard_heads(inputs: Inputs) -> Attributes:
    return {"q_num_heads": inputs.heads, "kv_num_heads": inputs.heads}


def _square(inputs: Inputs) -> ir.Value:
    """[B, 1, S, S]."""
    shape = inputs.op("Shape", [inputs.qkv])
    rows, columns = (
        inputs.op("Gather", [shape, inputs.constant(np.array([axis], np.int64))]) for axis in (0, 1)
    )
    one = inputs.constant(np.array([1], np.int64))
    return inputs.op("Concat", [rows, one, columns, columns], {"axis": 0})


OPERATORS: Final[dict[str, Callable[[Inputs], ir.Value]]] = {
    "GroupQueryAttention": group_query,
    "MultiHeadAttention, lengths": multi_head,
    "MultiHeadAttention, no mask": multi_head_unmasked,
    "Attention (ONNX), mask": standard,
    "Attention (ONNX), no mask": standard_unmasked,
    "MatMul, Softmax, MatMul": products,
}
MASKLESS: Final = frozenset(name for name in OPERATORS if name.endswith("no mask"))


def open_operator(name: str, *, heads: int, hidden: int, threads: int) -> onnxruntime.InferenceSession:
    """A session of one operator: `qkv` float32 [B, S, 3H] and `lengths` int32 [B] to float32 [B, S, H]."""
    qkv = ir.Value(name="qkv", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["B", "S", 3 * hidden]))
    lengths = ir.Value(name="lengths", type=ir.TensorType(ir.DataType.INT32), shape=ir.Shape(["B"]))
    inputs = Inputs(Tape(), qkv, lengths, heads, hidden, [])
    context = OPERATORS[name](inputs)
    context.name = "context"
    graph = ir.Graph(
        [qkv, lengths],
        [context],
        nodes=inputs.tape.nodes,
        initializers=inputs.constants,
        opset_imports={"": _OPSET, _CONTRIB: 1},
        name="attention",
    )
    context.type, context.shape = qkv.type, ir.Shape(["B", "S", hidden])
    model = ir.serde.serialize_model(ir.Model(graph, ir_version=_IR_VERSION))
    return onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(threads), providers=["CPUExecutionProvider"]
    )
