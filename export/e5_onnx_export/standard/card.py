"""README.md of a folder with the standard graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from e5_onnx_export.cards.parts import (
    POOLINGS,
    fenced,
    front_matter,
    join,
    linked_name,
    parity_section,
    provenance_section,
    recipe_section,
)
from e5_onnx_export.context import ExportContext
from e5_onnx_export.standard.trial import Trial

_WHO_ADDS: Final = (
    "sentence-transformers adds what stands before a text (`encode_query`, `encode_document`); other "
    "programs must do so themselves."
)


def standard_card(context: ExportContext, trial: Trial, tools: Mapping[str, str]) -> str:
    """Writes the card.

    Args:
        context: The export, and how to use it.
        trial: The measurements, and the programs that made them.
        tools: Versions of what it was made with.

    Returns:
        Markdown with YAML front matter.
    """
    source, choice = context.checkpoint.source, context.choice
    tags = ("onnx", "onnxruntime", "sentence-transformers", "embeddings")
    return join(
        front_matter(source, context.checkpoint.architecture, tags, relation=""),
        f"# {source.name} as ONNX, for other tools",
        f"{linked_name(source)}, exported by optimum: `onnx/model.onnx`, fp32, with the output "
        f"`last_hidden_state`. It was opened with {', '.join(trial.tools)}, which gave the same vectors. "
        "`e5_onnx.Embedder` takes another kind of folder: export the unpadded graph for it.",
        "## Use",
        fenced(
            "python",
            "from sentence_transformers import SentenceTransformer",
            "",
            'model = SentenceTransformer("path/to/this/folder", backend="onnx")',
            'queries = model.encode_query(["How deep is the sea?"])',
            'documents = model.encode_document(["The sea is 3.7 km deep on average."])',
        ),
        *recipe_section(choice.recipe, POOLINGS[choice.pooling], choice.max_tokens, who_adds=_WHO_ADDS),
        *parity_section(trial.parity),
        *provenance_section(source, tools),
    )
