"""The graph by which the runtime finds out whether this CPU multiplies uint8 by int8 exactly.

Made once and shipped as e5_onnx/inference/int8_probe.onnx: `python -m e5_onnx_export.graph.probe FILE`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.tape import Tape

from e5_onnx_export.graph.builder import CONTRIB, IR_VERSION, OPSET

# Deep enough for every kernel's inner loop, wide enough that packed and threaded paths are taken.
SIZE: Final = 64


def build_probe() -> ir.Model:
    """A product of uint8 [rows, 64] with int8 127s, through the operator that int8 folders use.

    Where pairs of products are added in 16 bits (AVX2 and AVX-512 without VNNI), 255 x 127 x 2 saturates and
    the result is about half of what it should be.
    """
    tape = Tape()
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.UINT8), shape=ir.Shape(["rows", SIZE]))
    constants: dict[str, NDArray[Any]] = {
        "weight": np.full((SIZE, SIZE), 127, np.int8),
        "a_scale": np.array(1, np.float32),
        "b_scale": np.ones(SIZE, np.float32),
        "a_zero": np.array(0, np.uint8),
    }
    values = [tape.initializer(ir.tensor(array, name=name), name) for name, array in constants.items()]
    weight, a_scale, b_scale, a_zero = values
    y = tape.op("MatMulIntegerToFloat", [x, weight, a_scale, b_scale, a_zero], domain=CONTRIB, version=1)
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.FLOAT), ir.Shape(["rows", SIZE])
    imports = {"": OPSET, CONTRIB: 1}
    graph = ir.Graph(
        [x], [y], nodes=tape.nodes, initializers=values, opset_imports=imports, name="int8_probe"
    )
    return ir.Model(graph, ir_version=IR_VERSION, producer_name="e5-onnx")


if __name__ == "__main__":
    ir.save(build_probe(), Path(sys.argv[1]))
