"""What goes into each linear of the fp32 graph, seen on calibration texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir

from e5_onnx.inference.batching import pad, plan_batches
from e5_onnx.inference.session import session_options
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.manifest import GRAPH_NAME
from e5_onnx.silent import onnxruntime
from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.quantize.moments import MomentCollector, Moments

# Tokens that run at once: every linear's input of every layer is held for them.
_TOKENS_AT_A_TIME: Final = 512
# Rows of each linear's input that are kept, spread evenly over the texts.
SAMPLE_ROWS: Final = 512


@dataclass(frozen=True, slots=True)
class InputSample:
    """One linear's input.

    Attributes:
        lowest: float32 [K], over all calibration tokens.
        highest: float32 [K], over all calibration tokens.
        rows: float32 [rows, K], some of the tokens.
        moments: Over all calibration tokens.
    """

    lowest: Floats
    highest: Floats
    rows: Floats
    moments: Moments


def capture_inputs(
    folder: Path, ids: Sequence[Ids], linears: Sequence[LinearId]
) -> dict[LinearId, InputSample]:
    """Runs the fp32 graph of a folder over calibration texts and looks into it.

    Args:
        folder: Holds the fp32 graph.
        ids: Token ids of each text.
        linears: The linear layers whose inputs are captured.

    Returns:
        The sample of each linear.
    """
    observed = _with_outputs(folder, [_input_name(linear) for linear in linears])
    try:
        options = session_options(choose_threads(None).count, prepack=False)
        session = onnxruntime.InferenceSession(str(observed), options, providers=["CPUExecutionProvider"])
        total = sum(map(len, ids))
        collectors = {linear: _Collector(max(1, total // SAMPLE_ROWS)) for linear in linears}
        for batch in plan_batches([len(text) for text in ids], _TOKENS_AT_A_TIME):
            grid, mask = pad([ids[index] for index in batch])
            names = [_input_name(linear) for linear in linears]
            values = session.run(names, {"input_ids": grid, "attention_mask": mask})
            for collector, value in zip(collectors.values(), values, strict=True):
                collector.add(value)
        # One after another: at full size the moments are 2 GB, and there is room for one copy of them.
        return {linear: collectors.pop(linear).sample() for linear in linears}
    finally:
        observed.unlink()


def _input_name(linear: LinearId) -> str:
    return f"{linear}.input"


def _with_outputs(folder: Path, names: Sequence[str]) -> Path:
    """Writes a second graph beside the first, with inner values as outputs and the same weights."""
    model = ir.load(folder / GRAPH_NAME)
    inner = {value.name: value for node in model.graph for value in node.outputs}
    model.graph.outputs.extend(inner[name] for name in names)
    path = folder / "observed.onnx"
    ir.save(model, path)
    return path


class _Collector:
    def __init__(self, stride: int) -> None:
        self._stride = stride
        self._seen = 0
        self._extremes: list[tuple[Floats, Floats]] = []
        self._rows: list[Floats] = []
        self._moments = MomentCollector()

    def add(self, rows: Floats) -> None:
        self._extremes.append((rows.min(axis=0), rows.max(axis=0)))
        self._rows.append(rows[-self._seen % self._stride :: self._stride].copy())
        self._seen += len(rows)
        self._moments.add(rows)

    def sample(self) -> InputSample:
        lowest, highest = zip(*self._extremes, strict=True)
        return InputSample(
            np.min(lowest, axis=0),
            np.max(highest, axis=0),
            np.concatenate(self._rows),
            self._moments.moments(),
        )
