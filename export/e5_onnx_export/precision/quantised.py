"""int8 and int4: calibrated against the fp32 graph, and held to it on texts that calibration has not seen."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from e5_onnx.model_folder.manifest import Parity, Precision
from e5_onnx.tokens.tokenization import TextTokenizer
from e5_onnx_export.compare.parity import measure_parity, worst_language
from e5_onnx_export.compare.samples import run_graph, tokenize_samples
from e5_onnx_export.context import ExportContext
from e5_onnx_export.precision.authored import Authored
from e5_onnx_export.precision.full import author_fp32
from e5_onnx_export.quantize.calibration import read_calibration
from e5_onnx_export.quantize.gate import Fitted, Gate
from e5_onnx_export.quantize.int4_plan import plan_int4
from e5_onnx_export.quantize.int8_plan import plan_int8
from e5_onnx_export.quantize.invariance import measure_invariance
from e5_onnx_export.quantize.plan import MakePlan
from e5_onnx_export.texts import SampleText, held_out_texts, odd_calibration_texts, odd_held_out_texts

_EVERY: Final = (
    3  # held-out text is enough to see whether batch composition matters; all are compared with fp32
)


@dataclass(frozen=True, slots=True)
class Method:
    """A quantised precision.

    Attributes:
        plan: How it rounds.
        min_cosine: The least mean cosine with fp32, unless the request says another.
        tolerance: The largest difference of a component that another CPU may make: its float kernels differ
            in the last bits, and a value between two integers may then fall to the other side. 2.4e-3 for
            int8 on e5-small between AVX-512 and emulated AVX2 (docs/int8.md).
        odd: Texts that it is calibrated on beside the others: a static scale must hold them too.
    """

    plan: MakePlan
    min_cosine: float
    tolerance: float
    odd: Sequence[SampleText] = ()


METHODS: Final[dict[Precision, Method]] = {
    "int8": Method(plan_int8, 0.999, 5e-3, odd_calibration_texts()),
    "int4": Method(plan_int4, 0.95, 2e-2),
}


def author_quantised(context: ExportContext, folder: Path, tokenizer: TextTokenizer) -> Authored:
    """Writes a quantised graph and holds it to the fp32 one.

    Raises:
        ParityError: If the fp32 graph is not the reference's, or the quantised graph cannot be brought near
            enough.
    """
    method, wanted = METHODS[context.request.precision], context.request.quantization
    texts = read_calibration(wanted.calibration)
    calibration = tokenize_samples([*texts, *method.odd], tokenizer, context.choice)
    held_out = tokenize_samples(held_out_texts(), tokenizer, context.choice)
    odd = tokenize_samples(odd_held_out_texts(), tokenizer, context.choice)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fp32-") as scratch:
        full = Path(scratch)
        fp32 = author_fp32(context, full, tokenizer)
        context.progress.step(f"calibrating on {len(calibration.ids)} texts")
        plan = method.plan(context, full, calibration.ids)
        truth, odd_truth = run_graph(full, held_out.ids), run_graph(full, odd.ids)
    floor = method.min_cosine if wanted.min_cosine is None else wanted.min_cosine
    fitted = Gate(context, folder, held_out, truth, floor).fit(plan, calibration)
    extra = _manifest_keys(fitted, fp32.parity) | {
        "worst_language": asdict(
            worst_language(truth, fitted.vectors, [text.language for text in held_out.texts])
        ),
        "odd_parity": asdict(measure_parity(odd_truth, run_graph(folder, odd.ids), "fp32")),
        "invariance": asdict(measure_invariance(folder, held_out.ids[::_EVERY])),
        "calibration_texts": len(texts),
        "odd_calibration_texts": len(method.odd),
    }
    return Authored(fitted.parity, method.tolerance, fitted.plan.bits, fitted.plan.pair_sum, extra)


def _manifest_keys(fitted: Fitted, fp32: Parity) -> dict[str, Any]:
    order = [{"name": str(entry.linear), "loss": entry.loss} for entry in fitted.order]
    return {
        "fp32_parity": asdict(fp32),
        "linears": fitted.plan.entries(),
        "kept_in_fp32": [str(linear) for linear in fitted.plan.kept],
        "sensitivity": order,
    }
