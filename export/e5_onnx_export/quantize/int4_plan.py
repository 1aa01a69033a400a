"""4 bits: inputs centred and balanced, weights rounded with the errors of their neighbours in mind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.errors import UnsupportedModelError
from e5_onnx_export.graph.int4 import LINEAR_BLOCK, Int4Linear, Int4Table, table_block
from e5_onnx_export.graph.int8 import Int8Table
from e5_onnx_export.graph.linear_id import LinearId, input_width, linear_ids
from e5_onnx_export.graph.smoothing import Smoothing
from e5_onnx_export.graph.tables import WordTable
from e5_onnx_export.graph.tensors import EncoderTensors
from e5_onnx_export.job import Job
from e5_onnx_export.quantize.capture import capture_inputs
from e5_onnx_export.quantize.error_compensation import round_compensated
from e5_onnx_export.quantize.four_bit import unpack
from e5_onnx_export.quantize.plan import Plan, PlannedLinear
from e5_onnx_export.quantize.product_error import relative_error
from e5_onnx_export.request import TableBits

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

# How much larger the weights of a channel that varies much are made before they are rounded (docs/int4.md).
_EXPONENT: Final = 0.25
_SMALLEST: Final = 1e-5
# Inputs that are held at once, in bytes; those of all layers of a large model would be many gigabytes.
_HELD: Final = 1_000_000_000

_TABLES: Final[dict[TableBits, WordTable]] = {4: Int4Table(), 8: Int8Table()}


def plan_int4(job: Job, folder: Path, ids: Sequence[Ids]) -> Plan:
    """Rounds every linear against its own inputs on calibration texts.

    Raises:
        UnsupportedModelError: If the widths of its linears cannot be cut into blocks.
    """
    _check_widths(job)
    linears = linear_ids(job.checkpoint.architecture)
    samples = capture_inputs(folder, ids, [linear for linear in linears if linear.kind != "ffn_out"])
    # GELU's output cannot be centred or balanced for nothing (docs/int8.md).
    smoothings = {linear: _smoothing(sample.rows) for linear, sample in samples.items()}
    tensors = EncoderTensors(job.checkpoint.weights, smoothings)
    planned = {}
    inputs = _inputs(job, folder, ids)
    for linear, rows in job.progress.track(inputs, label="rounding", total=len(linears)):
        smoothing = smoothings.get(linear)
        given = rows if smoothing is None else smoothing.apply(rows)
        weight = tensors.linear(linear).weight
        rounded = round_compensated(weight, given, LINEAR_BLOCK)
        error = relative_error(given @ unpack(rounded).T, given @ weight)
        facts = {"exponent": None if smoothing is None else _EXPONENT, "error": round(error, 6)}
        planned[linear] = PlannedLinear(Int4Linear(rounded), smoothing, facts)
    return Plan("int4", 4, _TABLES[job.request.quantization.table_bits], planned)


def _check_widths(job: Job) -> None:
    shape = job.checkpoint.architecture
    for width in (shape.hidden, shape.intermediate):
        if width % LINEAR_BLOCK or not table_block(shape.hidden):
            raise UnsupportedModelError(
                job.request.source, f"its width {width} cannot be cut into blocks of {LINEAR_BLOCK} for int4"
            )


def _smoothing(rows: Floats) -> Smoothing:
    """Centred on the mean, so that no mean error is left; balanced by each channel's spread."""
    spread = np.maximum(rows.std(axis=0), _SMALLEST)
    scale = spread**_EXPONENT
    scale /= np.exp(np.log(scale).mean())
    return Smoothing(scale.astype(np.float32), rows.mean(axis=0, dtype=np.float64).astype(np.float32))


def _inputs(job: Job, folder: Path, ids: Sequence[Ids]) -> Iterator[tuple[LinearId, Floats]]:
    """Every linear with all its calibration inputs, float32 [T, K]."""
    shape, tokens = job.checkpoint.architecture, sum(map(len, ids))
    group: list[LinearId] = []
    for linear in linear_ids(shape):
        wide = sum(input_width(member, shape) for member in (*group, linear))
        if group and wide * tokens * 4 > _HELD:
            yield from _captured(folder, ids, group)
            group = []
        group.append(linear)
    yield from _captured(folder, ids, group)


def _captured(
    folder: Path, ids: Sequence[Ids], group: Sequence[LinearId]
) -> Iterator[tuple[LinearId, Floats]]:
    samples = capture_inputs(folder, ids, group, rows=sum(map(len, ids)))
    for linear in group:
        yield linear, samples.pop(linear).rows
