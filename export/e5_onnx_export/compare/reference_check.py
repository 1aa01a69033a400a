"""The fp32 graph against the reference that the request names: from text, where that is possible."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from e5_onnx.recipes import ROLES
from e5_onnx.tokens.tokenization import TextTokenizer
from e5_onnx_export.arrays import Floats
from e5_onnx_export.compare.samples import Samples, tokenize_samples
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import ExportRequestError
from e5_onnx_export.reference import open_reference
from e5_onnx_export.texts import SampleText, parity_texts

_ODD: Final = ("", "  \n spaces around \t ", "THE QUICK Brown Fox, naïve CAFÉ", "東京 tea 東京 ÄÖÜß İ")
_LONG: Final = "a house by the sea "
# Longer ones take minutes on a large model.
_LONGEST: Final = 512
_ADDED: Final = 20


def reference_samples(context: ExportContext, tokenizer: TextTokenizer) -> Samples:
    """Returns the texts that an export is compared on, each in its role.

    Beside the parity texts they are odd ones, the tokenizer's added tokens and one that is too long, as
    query, document and raw.

    Args:
        context: The export.
        tokenizer: The tokenizer of the exported folder.
    """
    added = json.loads(context.checkpoint.tokenizer).get("added_tokens") or ()
    special = " ".join(f"a {row['content']} b{row['content']}" for row in added[:_ADDED])
    odd = [*_ODD, special]
    if context.choice.max_tokens <= _LONGEST:
        odd.append(_LONG * context.choice.max_tokens)
    texts = [*parity_texts(), *(SampleText("zxx", "Common", role, text) for text in odd for role in ROLES)]
    return tokenize_samples(texts, tokenizer, context.choice)


def embed_with_reference(context: ExportContext, samples: Samples) -> tuple[str, Floats]:
    """Embeds samples with the reference that the request names.

    Args:
        context: The export; its reference is not `none`.
        samples: Texts and their token ids.

    Returns:
        The reference's name for the manifest, and float32 [texts, hidden] of unit length.

    Raises:
        MissingExtraError: If the reference is not installed.
        ToolError: If sentence-transformers cannot open the folder.
        CheckpointError: If the checkpoint's tensors do not fit the model.
    """
    asked = context.request.reference
    if asked == "none":
        raise ExportRequestError("there is no reference to compare with")
    if asked != "numpy" and context.checkpoint.folder is not None:
        try:
            # Here, not at the top: the exporter works without it.
            from e5_onnx_export.compare.sentence_reference import SentenceReference
        except ImportError:
            pass
        else:
            context.progress.step(_step(samples.texts, SentenceReference.name))
            vectors = SentenceReference(context.checkpoint, context.choice).embed(samples)
            cut = _cut_elsewhere(context, samples)
            if cut:
                reference = open_reference(asked, context.checkpoint, context.choice.pooling)
                vectors[cut] = reference.embed([samples.ids[row] for row in cut])
            return SentenceReference.name, vectors
    reference = open_reference(asked, context.checkpoint, context.choice.pooling)
    context.progress.step(_step(samples.texts, reference.name))
    return reference.name, reference.embed(samples.ids)


def _cut_elsewhere(context: ExportContext, samples: Samples) -> list[int]:
    """Texts too long for a template with words after the text: we spare those words, the library does not."""
    return [
        row
        for row, (text, ids) in enumerate(zip(samples.texts, samples.ids, strict=True))
        if len(ids) >= context.choice.max_tokens and context.choice.recipe.template(text.role).after
    ]


def _step(texts: Sequence[SampleText], name: str) -> str:
    return f"comparing {len(texts)} texts with {name}"
