"""A model folder with the unpadded graph: built, compared, described, and tried as a user would."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e5_onnx.model_folder.manifest import (
    GOLDEN_NAME,
    MANIFEST_NAME,
    TOKENIZER_NAME,
    LeanProof,
    Parity,
    Precision,
)
from e5_onnx.tokens.opening import load_tokenizer
from e5_onnx.tokens.tokenization import TextTokenizer, truncate
from e5_onnx.verify import verify_folder
from e5_onnx_export.cards.card import model_card
from e5_onnx_export.cards.parts import CARD_NAME
from e5_onnx_export.checkpoint.tokenizer_file import compact
from e5_onnx_export.compare import golden
from e5_onnx_export.compare.lean_proof import prove_lean
from e5_onnx_export.compare.samples import run_graph
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import UnsupportedModelError
from e5_onnx_export.precision.authored import AuthorPrecision
from e5_onnx_export.precision.full import author_fp32
from e5_onnx_export.precision.manifest_writer import make_manifest
from e5_onnx_export.precision.quantised import author_quantised
from e5_onnx_export.precision.stock import author_stock
from e5_onnx_export.texts import golden_texts

_HEAD_WIDTH: Final = 8

_AUTHORS: Final[dict[Precision, AuthorPrecision]] = {
    "fp32": author_fp32,
    "int8": author_quantised,
    "int4": author_quantised,
    "int8-stock": author_stock,
}


def write_packed(context: ExportContext, folder: Path) -> Parity:
    """Fills an empty folder and returns its parity.

    Raises:
        UnsupportedModelError: If onnxruntime has no attention kernel for the width of its heads.
        ParityError: If its vectors are too far from the reference's.
    """
    _check_heads(context)
    (folder / TOKENIZER_NAME).write_bytes(compact(context.checkpoint.tokenizer))
    tokenizer = load_tokenizer(folder)
    authored = _AUTHORS[context.request.precision](context, folder, tokenizer)
    _write_golden(context, folder, tokenizer, tolerance=authored.tolerance)
    lean = _prove_lean(context, folder) if context.request.lean else None
    context.progress.step("hashing and verifying")
    manifest = make_manifest(context, folder, authored, lean=lean)
    # Written last: a folder without it is not a model folder, whatever else is there.
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), "utf-8")
    (folder / CARD_NAME).write_text(model_card(manifest), "utf-8")
    verify_folder(folder)
    return authored.parity


def _prove_lean(context: ExportContext, folder: Path) -> LeanProof | None:
    context.progress.step("proving the lean tokenizer")
    return prove_lean(folder, context.choice, tell=context.progress.step)


def _write_golden(
    context: ExportContext, folder: Path, tokenizer: TextTokenizer, *, tolerance: float
) -> None:
    texts = golden_texts()
    tokenized = [tokenizer.tokenize(text.text, context.choice.recipe.template(text.role)) for text in texts]
    vectors = run_graph(folder, [truncate(text, context.choice.max_tokens) for text in tokenized])
    # Whole, as Embedder.tokenize gives them, even where the model takes less.
    ids = [text.ids for text in tokenized]
    golden.write(folder / GOLDEN_NAME, texts, ids, vectors=vectors, tolerance=tolerance)


def _check_heads(context: ExportContext) -> None:
    shape = context.checkpoint.architecture
    width = shape.hidden // shape.heads
    # GroupQueryAttention refuses others, long after the work has begun.
    if width % _HEAD_WIDTH:
        found = f"its attention heads are {width} wide, not a multiple of {_HEAD_WIDTH}"
        raise UnsupportedModelError(context.request.source, found)
