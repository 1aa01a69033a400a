"""sentence-transformers on the checkpoint's own folder: text in, vectors out, nothing of ours between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sentence_transformers

from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.checkpoint.checkpoint_folder import MODULES_NAME
from e5_onnx_export.compare.samples import Samples
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.reference.foreign import foreign_tool

_BATCH = 8


class SentenceReference:
    """The checkpoint as sentence-transformers opens it, in float32.

    Its tokenizer, weights and length are read by that library alone, and its prompts where the recipe is
    theirs. Without modules.json it is the encoder with the pooling that was chosen.

    Args:
        checkpoint: It has a folder.
        choice: Recipe, pooling and length.

    Raises:
        ToolError: If sentence-transformers cannot open the folder.
    """

    name = "sentence-transformers"

    def __init__(self, checkpoint: Checkpoint, choice: EncodingChoice) -> None:
        self._choice = choice
        shape = checkpoint.architecture
        with foreign_tool(self.name, extra="reference"):
            self._model = _open(checkpoint, choice).float().eval()
        most = shape.positions - shape.position_offset
        # Beyond the model's positions it fails.
        if self._model.max_seq_length is None or self._model.max_seq_length > most:
            self._model.max_seq_length = most

    def embed(self, samples: Samples) -> Floats:
        """Embeds texts in their roles; the token ids are not looked at.

        Returns:
            float32 [texts, dimension], unit length.
        """
        order: list[int] = []
        parts = []
        for role in sorted({text.role for text in samples.texts}):
            rows = [row for row, text in enumerate(samples.texts) if text.role == role]
            parts.append(self._encode([samples.texts[row].text for row in rows], role))
            order += rows
        stacked = np.concatenate(parts)
        vectors = np.empty_like(stacked)
        vectors[order] = stacked
        return vectors

    def _encode(self, texts: Sequence[str], role: Any) -> Floats:  # noqa: ANN401 - a Role
        options = {"batch_size": _BATCH, "normalize_embeddings": True, "show_progress_bar": False}
        own = {"query": self._model.encode_query, "document": self._model.encode_document}
        template = self._choice.recipe.template(role)
        with foreign_tool(self.name, extra="reference"):
            if self._choice.by_prompts and role in own:
                found: Floats = own[role](list(texts), **options)
            else:
                written = [text + template.after for text in texts]
                found = self._model.encode(written, prompt=template.before, **options)
        return found


def _open(checkpoint: Checkpoint, choice: EncodingChoice) -> Any:  # noqa: ANN401 - torch is not seen by mypy
    folder = checkpoint.folder
    if folder is not None and (folder / MODULES_NAME).exists():
        return sentence_transformers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    from sentence_transformers.models import Normalize, Pooling, Transformer

    encoder = Transformer(str(checkpoint.encoder_folder))
    pooling = Pooling(checkpoint.architecture.hidden, pooling_mode=choice.pooling)
    return sentence_transformers.SentenceTransformer(modules=[encoder, pooling, Normalize()], device="cpu")
