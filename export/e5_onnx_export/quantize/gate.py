"""From a plan to a graph that is near enough to fp32, keeping linears in fp32 where it must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME, Parity
from e5_onnx_export.arrays import Floats
from e5_onnx_export.compare.parity import measure_parity
from e5_onnx_export.compare.samples import Samples, run_graph
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import ParityError
from e5_onnx_export.graph.encoder import Encoder
from e5_onnx_export.graph.tensors import EncoderTensors
from e5_onnx_export.quantize.plan import QuantizationPlan
from e5_onnx_export.quantize.sensitivity import Sensitivity, measure_sensitivity

_SENSITIVITY_TEXTS = 16


@dataclass(frozen=True, slots=True)
class Fitted:
    """A plan whose graph stands in its folder.

    Attributes:
        plan: The plan that was written.
        parity: Its distance from fp32 on held-out texts.
        vectors: float32 [texts, dimension] of these.
        order: The linears by sensitivity, if that had to be measured.
    """

    plan: QuantizationPlan
    parity: Parity
    vectors: Floats
    order: Sequence[Sensitivity] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """The accuracy and size that a quantised graph must reach.

    Attributes:
        context: The export.
        folder: The folder for the graph.
        held_out: Texts that calibration has not seen.
        truth: Their fp32 vectors, float32 [texts, dimension].
        floor: The least mean cosine.
    """

    context: ExportContext
    folder: Path
    held_out: Samples
    truth: Floats
    floor: float

    def fit(self, plan: QuantizationPlan, calibration: Samples) -> Fitted:
        """Writes the plan's graph and, while it is too far from fp32, keeps one more linear in fp32.

        Raises:
            ParityError: If the floor cannot be reached within the size allowed.
        """
        fitted = self._write(plan)
        if self._is_met(fitted):
            return fitted
        self.context.progress.step(f"mean cosine {fitted.parity.cosine_mean:.6f} is below {self.floor}")
        order = measure_sensitivity(
            self.context, plan, folder=self.folder, ids=calibration.ids[:: _stride(calibration)]
        )
        for sensitivity in order:
            plan = plan.keep(sensitivity.linear)
            fitted = self._write(plan)
            self.context.progress.step(f"kept {sensitivity.linear} in fp32: {fitted.parity.cosine_mean:.6f}")
            if self._size() > self._largest():
                raise ParityError(self._report("`max_size_mb` is reached", fitted, order))
            if self._is_met(fitted):
                return Fitted(plan, fitted.parity, fitted.vectors, order)
        raise ParityError(self._report("even with every linear in fp32", fitted, order))

    def _write(self, plan: QuantizationPlan) -> Fitted:
        for name in (GRAPH_NAME, WEIGHTS_NAME):
            (self.folder / name).unlink(missing_ok=True)
        self.context.progress.step(f"writing the {plan.name} graph, {len(plan.kept)} linears in fp32")
        tensors = EncoderTensors(self.context.checkpoint.weights, plan.smoothings())
        checkpoint = self.context.checkpoint
        encoder = Encoder(
            checkpoint.architecture,
            tensors,
            self.context.choice.pooling,
            plan.formats(),
            checkpoint.projections,
        )
        encoder.author(self.folder, self.context.progress)
        vectors = run_graph(self.folder, self.held_out.ids)
        return Fitted(plan, measure_parity(self.truth, vectors, "fp32"), vectors)

    def _is_met(self, fitted: Fitted) -> bool:
        return (fitted.parity.cosine_mean or 0.0) >= self.floor

    def _size(self) -> float:
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file()) / 1e6

    def _largest(self) -> float:
        return self.context.request.quantization.max_size_mb or float("inf")

    def _report(self, why: str, fitted: Fitted, order: Sequence[Sensitivity]) -> str:
        rows = "\n".join(f"  {entry.linear!s:<28}{entry.loss:.2e}" for entry in order[:10])
        return (
            f"the mean cosine with fp32 is {fitted.parity.cosine_mean:.6f}, asked for was {self.floor}; "
            f"{why} ({len(fitted.plan.kept)} linears kept, {self._size():.0f} MB)\n"
            f"  {'most sensitive linears':<28}1 - mean cosine\n{rows}"
        )


def _stride(samples: Samples) -> int:
    return max(1, len(samples.ids) // _SENSITIVITY_TEXTS)
