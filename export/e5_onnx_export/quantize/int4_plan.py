"""4 bits: inputs centred and balanced, weights rounded with the errors of their neighbours in mind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx_export.arrays import Ids
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import UnsupportedModelError
from e5_onnx_export.graph.int4 import LINEAR_BLOCK, Int4Linear, Int4Table, table_block
from e5_onnx_export.graph.int8 import Int8Table
from e5_onnx_export.graph.linear_id import linear_ids
from e5_onnx_export.graph.smoothing import Smoothing
from e5_onnx_export.graph.tables import WordTable
from e5_onnx_export.graph.tensors import EncoderTensors
from e5_onnx_export.quantize.capture import capture_inputs
from e5_onnx_export.quantize.moments import Moments
from e5_onnx_export.quantize.plan import PlannedLinear, QuantizationPlan
from e5_onnx_export.request import TableBits
from e5_onnx_export.rounding.four_bit import round_to_int4, unpack
from e5_onnx_export.rounding.product_error import relative_error

# How much larger the weights of a channel that varies much are made before they are rounded (docs/int4.md).
_EXPONENT: Final = 0.25
_SMALLEST: Final = 1e-5

_TABLES: Final[dict[TableBits, WordTable]] = {4: Int4Table(), 8: Int8Table()}


def plan_int4(context: ExportContext, folder: Path, ids: Sequence[Ids]) -> QuantizationPlan:
    """Rounds every linear against its own inputs on calibration texts.

    Raises:
        UnsupportedModelError: If the widths of its linears cannot be cut into blocks.
    """
    _check_widths(context)
    linears = linear_ids(context.checkpoint.architecture)
    samples = capture_inputs(folder, ids, linears)
    # GELU's output cannot be centred or smoothed at no cost (docs/int8.md).
    smoothings = {
        linear: _smoothing(sample.moments) for linear, sample in samples.items() if linear.kind != "ffn_out"
    }
    tensors = EncoderTensors(context.checkpoint.weights, smoothings)
    planned = {}
    for linear in context.progress.track(linears, label="rounding", total=len(linears)):
        # The sample is released at once: all together they are gigabytes.
        sample, smoothing = samples.pop(linear), smoothings.get(linear)
        weight = tensors.linear(linear).weight
        rounded = round_to_int4(weight, sample.moments.smoothed(smoothing), LINEAR_BLOCK)
        rows = sample.rows if smoothing is None else smoothing.apply(sample.rows)
        error = relative_error(rows @ unpack(rounded).T, rows @ weight)
        facts = {"exponent": None if smoothing is None else _EXPONENT, "error": round(error, 6)}
        planned[linear] = PlannedLinear(Int4Linear(rounded), smoothing, facts)
    return QuantizationPlan("int4", 4, _TABLES[context.request.quantization.table_bits], planned)


def _check_widths(context: ExportContext) -> None:
    shape = context.checkpoint.architecture
    for width in (shape.hidden, shape.intermediate):
        if width % LINEAR_BLOCK or not table_block(shape.hidden):
            raise UnsupportedModelError(
                context.request.source,
                f"its width {width} cannot be cut into blocks of {LINEAR_BLOCK} for int4",
            )


def _smoothing(moments: Moments) -> Smoothing:
    """Centred on the mean, so that no mean error is left; balanced by each channel's spread."""
    variance = np.diag(moments.product) - np.square(moments.mean - moments.centre)
    scale = np.sqrt(np.maximum(variance, _SMALLEST**2)) ** _EXPONENT
    scale /= np.exp(np.log(scale).mean())
    return Smoothing(scale.astype(np.float32), moments.mean)
