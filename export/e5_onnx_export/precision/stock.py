"""int8-stock: optimum's own dynamic quantisation of its own export, to be compared with."""

from __future__ import annotations

import tempfile
from pathlib import Path

from e5_onnx.tokens.tokenization import TextTokenizer
from e5_onnx_export.compare.parity import measure_parity
from e5_onnx_export.compare.samples import run_graph, tokenize_samples
from e5_onnx_export.context import ExportContext
from e5_onnx_export.precision.authored import Authored
from e5_onnx_export.precision.full import author_fp32
from e5_onnx_export.standard.stock import write_stock_graph
from e5_onnx_export.texts import held_out_texts

# Its one scale for a whole batch makes a vector depend on its neighbours, by up to this much on e5-small.
STOCK_TOLERANCE = 5e-2


def author_stock(context: ExportContext, folder: Path, tokenizer: TextTokenizer) -> Authored:
    """Writes the baseline and measures, without a gate, how far it is from fp32.

    Raises:
        MissingExtraError: If optimum is not installed.
        ParityError: If the fp32 graph is not the reference's.
    """
    held_out = tokenize_samples(held_out_texts(), tokenizer, context.choice)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fp32-") as scratch:
        author_fp32(context, Path(scratch), tokenizer)
        truth = run_graph(Path(scratch), held_out.ids)
    context.progress.step("exporting and quantising with optimum")
    write_stock_graph(context.checkpoint, context.choice, folder)
    parity = measure_parity(truth, run_graph(folder, held_out.ids), "fp32")
    exempt = {"invariance": None, "invariance_note": "a baseline: its vectors depend on the batch"}
    return Authored(parity, STOCK_TOLERANCE, extra=exempt)
