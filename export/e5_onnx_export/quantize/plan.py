"""Which linear is stored how, and what that costs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.graph.encoder import Formats
from e5_onnx_export.graph.int8 import Int8Linear, Int8Table
from e5_onnx_export.graph.linear import FloatLinear, LinearFormat
from e5_onnx_export.graph.linear_id import LinearId, linear_ids
from e5_onnx_export.graph.smoothing import Smoothing
from e5_onnx_export.job import Job
from e5_onnx_export.quantize.capture import capture_inputs
from e5_onnx_export.quantize.rounding import WeightBits
from e5_onnx_export.quantize.search import Choice, Trial


@dataclass(frozen=True, slots=True)
class Plan:
    """How every linear of an int8 graph is stored.

    Attributes:
        choices: What was chosen for each linear.
        bits: Of the weights.
        kept: Linears that stay in fp32, in the order in which they were chosen.
    """

    choices: Mapping[LinearId, Choice]
    bits: WeightBits
    kept: tuple[LinearId, ...] = ()

    def keep(self, linear: LinearId) -> Plan:
        """The same plan with one more linear in fp32."""
        return replace(self, kept=(*self.kept, linear))

    def formats(self) -> Formats:
        """How the graph's large tensors are stored."""
        return Formats(Int8Table(), {linear: self._format(linear) for linear in self.choices})

    def smoothings(self) -> dict[LinearId, Smoothing]:
        """The smoothing of each linear that has one.

        A linear in fp32 keeps its smoothing: it changes nothing there but saves a second plan.
        """
        chosen = {linear: choice.treatment.smoothing for linear, choice in self.choices.items()}
        return {linear: smoothing for linear, smoothing in chosen.items() if smoothing is not None}

    def entries(self) -> list[dict[str, object]]:
        """The rows of the manifest's `linears`."""
        return [
            {
                "name": str(linear),
                "format": "fp32" if linear in self.kept else "int8",
                "exponent": choice.treatment.exponent,
                "zero_point": choice.treatment.activations.zero_point,
                "error": round(choice.error, 6),
            }
            for linear, choice in self.choices.items()
        ]

    def _format(self, linear: LinearId) -> LinearFormat:
        if linear in self.kept:
            return FloatLinear()
        return Int8Linear(self.choices[linear].treatment.activations, self.bits)


def plan_int8(job: Job, folder: Path, ids: Sequence[NDArray[np.int64]], *, bits: WeightBits) -> Plan:
    """Looks at the fp32 graph in `folder` on calibration texts and chooses a treatment for every linear."""
    linears = linear_ids(job.checkpoint.architecture)
    samples = capture_inputs(folder, ids, linears)
    choices = {}
    for linear in job.progress.track(linears, label="smoothing", total=len(linears)):
        # The sample is let go of at once: all together they are hundreds of megabytes.
        trial = Trial(linear, samples.pop(linear), linear.weight(job.checkpoint.weights), bits)
        choices[linear] = trial.choose()
    return Plan(choices, bits)
