"""Which linear is stored how, and what that costs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from e5_onnx_export.arrays import Ids
from e5_onnx_export.context import ExportContext
from e5_onnx_export.graph.encoder import Formats
from e5_onnx_export.graph.linear import FloatLinear, LinearFormat
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.smoothing import Smoothing
from e5_onnx_export.graph.tables import WordTable


@dataclass(frozen=True, slots=True)
class PlannedLinear:
    """How one linear is stored.

    Attributes:
        format: Its weights and its product.
        smoothing: The smoothing of its input, or None.
        facts: Its entry in the manifest's `linears`: the rounding and the remaining error.
    """

    format: LinearFormat
    smoothing: Smoothing | None
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class QuantizationPlan:
    """How every large tensor of a quantised graph is stored.

    Attributes:
        name: The format of a linear that is not kept, in the manifest.
        bits: Number of bits of each weight.
        word_table: The storage of the token embedding matrix.
        linears: Every linear, in order of use.
        kept: Linears that stay in fp32, in the order in which they were chosen.
        pair_sum: The largest sum of neighbouring weights (`rounding.largest_pair_sum`) of int8 weights.
    """

    name: str
    bits: int
    word_table: WordTable
    linears: Mapping[LinearId, PlannedLinear]
    kept: tuple[LinearId, ...] = ()
    pair_sum: int | None = None

    def keep(self, linear: LinearId) -> QuantizationPlan:
        """The same plan with one more linear in fp32."""
        return replace(self, kept=(*self.kept, linear))

    def formats(self) -> Formats:
        """How the graph's large tensors are stored."""
        chosen = {linear: planned.format for linear, planned in self.linears.items()}
        return Formats(self.word_table, chosen | dict.fromkeys(self.kept, FloatLinear()))

    def smoothings(self) -> dict[LinearId, Smoothing]:
        """The smoothing of each linear that has one.

        A linear in fp32 keeps its smoothing: it changes nothing there but saves a second plan.
        """
        chosen = {linear: planned.smoothing for linear, planned in self.linears.items()}
        return {linear: smoothing for linear, smoothing in chosen.items() if smoothing is not None}

    def entries(self) -> list[dict[str, object]]:
        """The rows of the manifest's `linears`."""
        return [
            {
                "name": str(linear),
                "format": "fp32" if linear in self.kept else self.name,
                **planned.facts,
            }
            for linear, planned in self.linears.items()
        ]


class MakePlan(Protocol):
    """A way to quantise."""

    def __call__(self, context: ExportContext, folder: Path, ids: Sequence[Ids]) -> QuantizationPlan:
        """Looks at the fp32 graph in `folder` on calibration texts and says how each tensor is stored."""
