"""int8: every linear smoothed and rounded as suits it best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.graph.int8 import Int8Linear, Int8Table
from e5_onnx_export.graph.linear_id import linear_ids
from e5_onnx_export.job import Job
from e5_onnx_export.quantize.capture import capture_inputs
from e5_onnx_export.quantize.plan import Plan, PlannedLinear
from e5_onnx_export.quantize.rounding import WeightBits
from e5_onnx_export.quantize.search import Choice, Trial


def plan_int8(job: Job, folder: Path, ids: Sequence[NDArray[np.int64]]) -> Plan:
    """Chooses a treatment for every linear by the error that it leaves on calibration texts."""
    bits = job.request.quantization.weight_bits
    linears = linear_ids(job.checkpoint.architecture)
    samples = capture_inputs(folder, ids, linears)
    planned = {}
    for linear in job.progress.track(linears, label="smoothing", total=len(linears)):
        # The sample is let go of at once: all together they are hundreds of megabytes.
        trial = Trial(linear, samples.pop(linear), linear.weight(job.checkpoint.weights), bits)
        planned[linear] = _planned(trial.choose(), bits)
    return Plan("int8", bits, Int8Table(), planned)


def _planned(choice: Choice, bits: WeightBits) -> PlannedLinear:
    treatment = choice.treatment
    facts = {
        "exponent": treatment.exponent,
        "zero_point": treatment.activations.zero_point,
        "error": round(choice.error, 6),
    }
    return PlannedLinear(Int8Linear(treatment.activations, bits), treatment.smoothing, facts)
