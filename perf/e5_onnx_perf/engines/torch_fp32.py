"""transformers' own model in fp32: what most people run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx_export.checkpoint.bodies import BODIES

try:
    import torch
    import transformers
except ImportError as error:
    raise MissingExtraError("reference", "torch") from error

# transformers imports a body's code when it is first asked for: here, and not while a model is loaded.
CLASSES: Final = tuple(
    getattr(transformers, name) for body in BODIES.values() for name in body.classes.values()
)


class TorchEngine:
    """A Hugging Face folder in torch, with mean pooling and L2 norm as its model card has them.

    Attributes:
        vocabulary: How many token ids it takes.
    """

    def __init__(self, checkpoint: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = transformers.AutoModel.from_pretrained(
            checkpoint, dtype=torch.float32, local_files_only=True
        ).eval()
        self.vocabulary = int(self._model.config.vocab_size)

    def encode(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeds token ids int64 [batch, sequence] and returns float32 [batch, dimension]."""
        with torch.inference_mode():
            kept = torch.from_numpy(mask)
            hidden = self._model(input_ids=torch.from_numpy(ids), attention_mask=kept).last_hidden_state
            weights = kept[..., None].to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1)
            return np.asarray(torch.nn.functional.normalize(pooled).numpy(), np.float32)


load = TorchEngine
