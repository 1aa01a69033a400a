"""How much of the model's error each linear causes, measured one linear at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from e5_onnx.inference.batching import pad
from e5_onnx.inference.exact_int8 import kernels_are_exact
from e5_onnx.inference.session import session_options
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.manifest import GRAPH_NAME
from e5_onnx.silent import onnxruntime
from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.compare.parity import measure_parity
from e5_onnx_export.context import ExportContext
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.encoder import Encoder, Formats
from e5_onnx_export.graph.linear import FloatLinear, LinearFormat
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.tables import FloatTable
from e5_onnx_export.graph.tensors import Affine, EncoderTensors
from e5_onnx_export.quantize.plan import QuantizationPlan

_SWITCHES: Final = "switches"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The sensitivity of a linear layer.

    Attributes:
        linear: The linear layer.
        loss: 1 less the mean cosine of the model's vectors when this linear alone is quantised.
    """

    linear: LinearId
    loss: float


def measure_sensitivity(
    context: ExportContext, plan: QuantizationPlan, *, folder: Path, ids: Sequence[Ids]
) -> list[Sensitivity]:
    """Quantises one linear after the other and compares the model's vectors.

    One graph with both forms of each linear, and a switch for each, does it.

    Args:
        context: The export.
        plan: The planned change of each linear layer.
        folder: A folder with room for a temporary graph of the size of both together.
        ids: Token ids of some texts.

    Returns:
        The most sensitive first.
    """
    linears = list(plan.linears)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        run = _switched_graph(context, plan, folder=Path(scratch), ids=ids)
        none = np.zeros(len(linears), np.bool_)
        truth = run(none)
        found = []
        for index in context.progress.track(range(len(linears)), label="sensitivity", total=len(linears)):
            switches = none.copy()
            switches[index] = True
            cosine = measure_parity(truth, run(switches), "fp32").cosine_mean or 0.0
            found.append(Sensitivity(linears[index], 1 - cosine))
    return sorted(found, key=lambda sensitivity: -sensitivity.loss)


@dataclass(frozen=True, slots=True)
class _SwitchedLinear:
    """A float32 linear that is quantised if its switch is on."""

    switches: ir.Value
    index: int
    quantised: LinearFormat

    def author(self, graph: GraphBuilder, x: ir.Value, affine: Affine, *, name: str) -> ir.Value:
        switch = graph.op("Gather", [self.switches, graph.scalar(self.index, np.int64)])
        rounded = self.quantised.author(graph, x, affine, name=f"{name}.quantised")
        return graph.op("Where", [switch, rounded, FloatLinear().author(graph, x, affine, name=name)])


def _switched_graph(
    context: ExportContext, plan: QuantizationPlan, *, folder: Path, ids: Sequence[Ids]
) -> Callable[[NDArray[np.bool_]], Floats]:
    """Authors the graph and returns a function from switches to the texts' vectors."""
    switches = ir.Value(
        name=_SWITCHES, type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([len(plan.linears)])
    )
    linears = {
        linear: _SwitchedLinear(switches, index, planned.format)
        for index, (linear, planned) in enumerate(plan.linears.items())
    }
    tensors = EncoderTensors(context.checkpoint.weights, plan.smoothings())
    formats = Formats(FloatTable(), linears)
    encoder = Encoder(
        context.checkpoint.architecture,
        tensors,
        context.choice.pooling,
        formats,
        context.checkpoint.projections,
        (switches,),
    )
    encoder.author(folder, context.progress)
    options = session_options(choose_threads(None).count, exact_int8=not kernels_are_exact(), prepack=False)
    session = onnxruntime.InferenceSession(
        str(folder / GRAPH_NAME), options, providers=["CPUExecutionProvider"]
    )

    def run(on: NDArray[np.bool_]) -> Floats:
        vectors = []
        for row in ids:
            grid, mask = pad([row])
            feeds = {"input_ids": grid, "attention_mask": mask, _SWITCHES: on}
            vectors.append(session.run(None, feeds)[0])
        return np.concatenate(vectors)

    return run
