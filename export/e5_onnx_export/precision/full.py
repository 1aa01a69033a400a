"""fp32: the checkpoint's own numbers, compared with another implementation of the same model."""

from __future__ import annotations

from pathlib import Path

from e5_onnx.model_folder.manifest import Parity
from e5_onnx.tokens.tokenization import TextTokenizer
from e5_onnx_export.compare.golden import FP32_TOLERANCE
from e5_onnx_export.compare.parity import gate_fp32, measure_parity
from e5_onnx_export.compare.reference_check import embed_with_reference, reference_samples
from e5_onnx_export.compare.samples import run_graph
from e5_onnx_export.compare.token_check import check_tokens
from e5_onnx_export.context import ExportContext
from e5_onnx_export.graph.encoder import Encoder, float_formats
from e5_onnx_export.graph.tensors import EncoderTensors
from e5_onnx_export.precision.authored import Authored


def author_fp32(context: ExportContext, folder: Path, tokenizer: TextTokenizer) -> Authored:
    """Writes the fp32 graph and holds it to 1e-5 of the reference.

    Raises:
        ParityError: If it is further away.
    """
    shape = context.checkpoint.architecture
    context.progress.step("writing the fp32 graph")
    Encoder(
        shape,
        EncoderTensors(context.checkpoint.weights),
        context.choice.pooling,
        float_formats(shape),
        context.checkpoint.projections,
    ).author(folder, context.progress)
    return Authored(check_against_reference(context, folder, tokenizer), FP32_TOLERANCE)


def check_against_reference(context: ExportContext, folder: Path, tokenizer: TextTokenizer) -> Parity:
    """Compares a folder's fp32 graph with the reference that the request names.

    Returns:
        The agreement with the reference; not `checked` where the request says `none`.

    Raises:
        ParityError: If it is out of bounds.
    """
    if context.request.reference == "none":
        return Parity(checked=False, reference="none")
    samples = reference_samples(context, tokenizer)
    check_tokens(context, tokenizer, samples)
    name, truth = embed_with_reference(context, samples)
    parity = measure_parity(truth, run_graph(folder, samples.ids), name)
    gate_fp32(parity)
    return parity
