"""int8: calibrated against the fp32 graph, and held to it on texts that calibration has not seen."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from e5_onnx.manifest import Parity
from e5_onnx.tokenization import TextTokenizer
from e5_onnx_export.authored import Authored
from e5_onnx_export.full_precision import author_fp32
from e5_onnx_export.job import Job
from e5_onnx_export.parity import worst_language
from e5_onnx_export.quantize.calibration import read_calibration
from e5_onnx_export.quantize.gate import Fitted, Gate
from e5_onnx_export.quantize.invariance import measure_invariance
from e5_onnx_export.quantize.plan import plan_int8
from e5_onnx_export.samples import run_graph, tokenize_samples
from e5_onnx_export.texts import held_out_texts

DEFAULT_MIN_COSINE: Final = 0.999

# Another CPU's float kernels differ in the last bits, and a value between two integers may then fall to the
# other side: 2.4e-3 on e5-small between AVX-512 and emulated AVX2 (docs/int8.md).
INT8_TOLERANCE: Final = 5e-3


def author_int8(job: Job, folder: Path, tokenizer: TextTokenizer) -> Authored:
    """Writes the int8 graph and holds it to the fp32 one.

    Raises:
        ParityError: If the fp32 graph is not the reference's, or the int8 graph cannot be brought near
            enough.
    """
    wanted = job.request.quantization
    texts = read_calibration(wanted.calibration)
    calibration = tokenize_samples(texts, tokenizer, job.choice)
    held_out = tokenize_samples(held_out_texts(), tokenizer, job.choice)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fp32-") as scratch:
        full = Path(scratch)
        fp32 = author_fp32(job, full, tokenizer)
        job.progress.step(f"calibrating on {len(calibration.ids)} texts")
        plan = plan_int8(job, full, calibration.ids, bits=wanted.weight_bits)
        truth = run_graph(full, held_out.ids)
    floor = DEFAULT_MIN_COSINE if wanted.min_cosine is None else wanted.min_cosine
    fitted = Gate(job, folder, held_out, truth, floor).fit(plan, calibration)
    extra = _manifest_keys(fitted, fp32.parity) | {
        "worst_language": asdict(
            worst_language(truth, fitted.vectors, [text.language for text in held_out.texts])
        ),
        "invariance": asdict(measure_invariance(folder, held_out.ids)),
        "calibration_texts": len(calibration.ids),
    }
    return Authored(fitted.parity, INT8_TOLERANCE, fitted.plan.bits, extra)


def _manifest_keys(fitted: Fitted, fp32: Parity) -> dict[str, Any]:
    order = [{"name": str(entry.linear), "loss": entry.loss} for entry in fitted.order]
    return {
        "fp32_parity": asdict(fp32),
        "linears": fitted.plan.entries(),
        "kept_in_fp32": [str(linear) for linear in fitted.plan.kept],
        "sensitivity": order,
    }
