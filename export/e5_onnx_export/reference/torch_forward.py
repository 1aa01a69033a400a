"""Transformers' own model in float32: the first reference for the exported graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
import transformers
from transformers.utils import logging as transformers_logging

from e5_onnx.model_folder.manifest import Architecture, Pooling
from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.checkpoint.base import Checkpoint, Weights
from e5_onnx_export.checkpoint.bodies import body_of
from e5_onnx_export.checkpoint.config import architecture_values
from e5_onnx_export.checkpoint.encoder_weights import token_types
from e5_onnx_export.errors import CheckpointError
from e5_onnx_export.reference.second_reading import read_projections_again

# Bounds the memory of a batch; all texts of a batch have one length, so there is no padding.
_TOKENS_PER_BATCH: Final = 2048


class TorchReference:
    """The encoder as transformers runs it.

    Args:
        checkpoint: A folder is loaded by transformers itself, without remote code; where there is none, the
            model is built from the architecture and the weights.
        pooling: How the token vectors become one.

    Raises:
        CheckpointError: If tensors are missing or have no place in the model.
    """

    name = "torch"

    def __init__(self, checkpoint: Checkpoint, pooling: Pooling) -> None:
        self._pooling = pooling
        self._projections = read_projections_again(checkpoint)
        if checkpoint.encoder_folder is None:
            self._model = _build(checkpoint.source.name, checkpoint.architecture, checkpoint.weights)
        else:
            self._model = _load(str(checkpoint.encoder_folder))

    def embed(self, token_ids: Sequence[Ids]) -> Floats:
        """Embeds texts in batches of one length.

        Args:
            token_ids: One int64 array [n] per text, special tokens included, n >= 1.

        Returns:
            float32 [texts, dimension], unit length.
        """
        width = len(self._projections[-1].bias) if self._projections else self._model.config.hidden_size
        vectors = np.zeros((len(token_ids), width), np.float32)
        for rows in _equal_length_batches(token_ids):
            vectors[rows] = self._embed_batch(np.stack([token_ids[row] for row in rows]))
        return vectors

    def _embed_batch(self, batch: Ids) -> Floats:
        ids = torch.from_numpy(batch)
        with torch.inference_mode():
            states = self._model(
                input_ids=ids, attention_mask=torch.ones_like(ids)
            ).last_hidden_state.double()
            pooled = states[:, 0] if self._pooling == "cls" else states.mean(dim=1)
            for projection in self._projections:
                weight, bias = torch.from_numpy(projection.weight), torch.from_numpy(projection.bias)
                pooled = torch.nn.functional.linear(pooled, weight.double(), bias.double())
                pooled = pooled.tanh() if projection.activation == "tanh" else pooled
            vectors: Floats = torch.nn.functional.normalize(pooled, dim=1).float().numpy()
        return vectors


def _equal_length_batches(token_ids: Sequence[Ids]) -> Iterator[list[int]]:
    by_length = defaultdict(list)
    for row, ids in enumerate(token_ids):
        by_length[len(ids)].append(row)
    for length, rows in by_length.items():
        size = max(_TOKENS_PER_BATCH // length, 1)
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _load(folder: str) -> Any:  # noqa: ANN401 - torch is not seen by the type checker
    with _quiet_transformers():
        model, report = transformers.AutoModel.from_pretrained(
            folder,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    # Classes with a pooler of their own draw random numbers for one that is not there; nothing here reads it.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise CheckpointError(
            folder,
            f"transformers does not find tensor {missing[0]!r} ({len(missing)} missing): "
            "compare with the NumPy forward pass instead, reference='numpy'",
        )
    return model.float().eval()


def _build(source: str, architecture: Architecture, weights: Weights) -> Any:  # noqa: ANN401
    body = body_of(architecture)
    model_class = getattr(transformers, next(iter(body.classes.values())))
    values = architecture_values(architecture, token_types=token_types(weights))
    model = model_class(model_class.config_class(**values))
    model.pooler = None
    tensors = {body.stored(name): torch.from_numpy(weights.read(name)) for name in weights.names()}
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(source, f"its tensors do not fit transformers' model: {reason}") from error
    return model.eval()


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silences the advice to train: what it would warn of is checked here."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
