"""int8: every linear smoothed and rounded as suits it best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e5_onnx_export.arrays import Ids
from e5_onnx_export.context import ExportContext
from e5_onnx_export.graph.int8 import Int8Linear, Int8Table
from e5_onnx_export.graph.linear_id import linear_ids
from e5_onnx_export.graph.tensors import EncoderTensors
from e5_onnx_export.quantize.capture import capture_inputs
from e5_onnx_export.quantize.plan import PlannedLinear, QuantizationPlan
from e5_onnx_export.quantize.search import TreatmentSearch
from e5_onnx_export.rounding.product_error import relative_error
from e5_onnx_export.rounding.rounding import largest_pair_sum, round_to_int8


def plan_int8(context: ExportContext, folder: Path, ids: Sequence[Ids]) -> QuantizationPlan:
    """Chooses a treatment for every linear by the error that it leaves on calibration texts."""
    bits, weights = context.request.quantization.weight_bits, context.checkpoint.weights
    linears = linear_ids(context.checkpoint.architecture)
    samples = capture_inputs(folder, ids, linears)
    treatments = {}
    for linear in context.progress.track(linears, label="smoothing", total=len(linears)):
        treatments[linear] = (
            TreatmentSearch(linear, samples[linear], linear.weight(weights), bits).choose().treatment
        )
    chosen = {linear: treatment.smoothing for linear, treatment in treatments.items()}
    smoothings = {linear: smoothing for linear, smoothing in chosen.items() if smoothing is not None}
    # Only now is a weight what it will be: attention's output smooths the columns of V.
    tensors = EncoderTensors(weights, smoothings)
    planned, pair_sum = {}, 0
    for linear in context.progress.track(linears, label="rounding", total=len(linears)):
        # The sample is released at once: all together they are gigabytes.
        sample, treatment, smoothing = samples.pop(linear), treatments[linear], treatments[linear].smoothing
        weight = tensors.linear(linear).weight
        rounded = round_to_int8(weight, sample.moments.smoothed(smoothing), bits)
        pair_sum = max(pair_sum, int(largest_pair_sum(rounded.values).max()))
        rows = sample.rows if smoothing is None else smoothing.apply(sample.rows)
        product = treatment.activations.round_trip(rows) @ (rounded.values * rounded.scales)
        facts = {
            "exponent": treatment.exponent,
            "static_scale": treatment.activations.static_scale,
            "zero_point": treatment.activations.zero_point,
            "error": round(relative_error(product, rows @ weight), 6),
        }
        planned[linear] = PlannedLinear(Int8Linear(treatment.activations, rounded), smoothing, facts)
    return QuantizationPlan("int8", bits, Int8Table(), planned, pair_sum=pair_sum)
