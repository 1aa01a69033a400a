"""How much of the model's error each linear causes, measured one linear at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from e5_onnx.batching import pad
from e5_onnx.manifest import GRAPH_NAME
from e5_onnx.session import session_options
from e5_onnx.threads import choose_threads
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.encoder import Encoder, Formats
from e5_onnx_export.graph.int8 import ActivationRange
from e5_onnx_export.graph.linear import FloatLinear
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.tables import FloatTable
from e5_onnx_export.graph.tensors import EncoderTensors
from e5_onnx_export.job import Job
from e5_onnx_export.parity import measure
from e5_onnx_export.quantize.plan import Plan

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

_SWITCHES: Final = "switches"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a linear costs.

    Attributes:
        linear: Which one.
        loss: 1 less the mean cosine of the model's vectors when this linear alone rounds its inputs.
    """

    linear: LinearId
    loss: float


def measure_sensitivity(job: Job, plan: Plan, *, folder: Path, ids: Sequence[Ids]) -> list[Sensitivity]:
    """Rounds the inputs of one linear after the other and compares the model's vectors.

    One fp32 graph with a switch for each linear does it. Only inputs are rounded, since they cause most of
    the error and rounding weights as well would take a graph for each linear.

    Args:
        job: The export.
        plan: What would be done to each linear.
        folder: Where a graph of fp32 size may stand for a while.
        ids: Token ids of some texts.

    Returns:
        The most sensitive first.
    """
    linears = list(plan.choices)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        run = _switched_graph(job, plan, folder=Path(scratch), ids=ids)
        none = np.zeros(len(linears), np.bool_)
        truth = run(none)
        found = []
        for index in job.progress.track(range(len(linears)), label="sensitivity", total=len(linears)):
            switches = none.copy()
            switches[index] = True
            cosine = measure(truth, run(switches), "fp32").cosine_mean or 0.0
            found.append(Sensitivity(linears[index], 1 - cosine))
    return sorted(found, key=lambda sensitivity: -sensitivity.loss)


@dataclass(frozen=True, slots=True)
class _SwitchedLinear:
    """A float32 linear whose input is rounded, and unrounded, if its switch is on."""

    switches: ir.Value
    index: int
    activations: ActivationRange

    def author(self, graph: GraphBuilder, x: ir.Value, weight: Floats, *, name: str) -> ir.Value:
        switch = graph.op("Gather", [self.switches, graph.scalar(self.index, np.int64)])
        scale = self.activations.scale(graph, x)
        rounded = graph.op("Cast", [self.activations.quantise(graph, x, scale)], {"to": ir.DataType.FLOAT})
        zero = graph.scalar(self.activations.zero_point)
        restored = graph.op("Mul", [graph.op("Sub", [rounded, zero]), scale])
        return FloatLinear().author(graph, graph.op("Where", [switch, restored, x]), weight, name=name)


def _switched_graph(
    job: Job, plan: Plan, *, folder: Path, ids: Sequence[Ids]
) -> Callable[[NDArray[np.bool_]], Floats]:
    """Authors the graph and returns a function from switches to the texts' vectors."""
    switches = ir.Value(
        name=_SWITCHES, type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([len(plan.choices)])
    )
    linears = {
        linear: _SwitchedLinear(switches, index, choice.treatment.activations)
        for index, (linear, choice) in enumerate(plan.choices.items())
    }
    tensors = EncoderTensors(job.checkpoint.weights, plan.smoothings())
    formats = Formats(FloatTable(), linears)
    encoder = Encoder(job.checkpoint.architecture, tensors, job.choice.pooling, formats, (switches,))
    encoder.author(folder, job.progress)
    options = session_options(choose_threads(None).count, prepack=False)
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
