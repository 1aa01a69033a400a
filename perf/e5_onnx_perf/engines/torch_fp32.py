"""transformers' own model in fp32: what most people run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError


class TorchEngine:
    """A Hugging Face folder in torch, with mean pooling and L2 norm as its model card has them."""

    def __init__(self, checkpoint: Path, threads: int) -> None:
        try:
            import torch
            from transformers import AutoModel
        except ImportError as error:
            raise MissingExtraError("reference", "torch") from error
        torch.set_num_threads(threads)
        self._torch = torch
        self._model = AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval()

    def encode(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embeds token ids int64 [batch, sequence] and returns float32 [batch, dimension]."""
        torch = self._torch
        with torch.inference_mode():
            kept = torch.from_numpy(mask)
            hidden = self._model(input_ids=torch.from_numpy(ids), attention_mask=kept).last_hidden_state
            weights = kept[..., None].to(hidden.dtype)
            pooled = (hidden * weights).sum(1) / weights.sum(1)
            return np.asarray(torch.nn.functional.normalize(pooled).numpy(), np.float32)
