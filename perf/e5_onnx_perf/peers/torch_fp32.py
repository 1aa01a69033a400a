"""transformers' own model in fp32: what most people run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.peers import BATCH, PeerSource
from e5_onnx_perf.peers.conversion import folder_bytes, in_batches

try:
    import torch
    from transformers import AutoModel, AutoTokenizer
except ImportError as error:
    raise MissingExtraError("reference", "torch") from error


class TorchPeer:
    """A Hugging Face folder in torch, with mean pooling and L2 norm as its model card has them."""

    def __init__(self, checkpoint: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self._tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
        self._model = AutoModel.from_pretrained(checkpoint, dtype=torch.float32, local_files_only=True).eval()
        self.setting = f"transformers, fp32, sdpa, {threads} threads, batches of {BATCH} by length"
        self.precision = "fp32"
        self.disk_bytes = folder_bytes(checkpoint)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`."""
        return in_batches(texts, BATCH, self._embed)

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=512, return_tensors="pt")
        with torch.inference_mode():
            hidden = self._model(**batch).last_hidden_state
            kept = batch["attention_mask"][..., None].to(hidden.dtype)
            pooled = (hidden * kept).sum(1) / kept.sum(1)
            return np.asarray(torch.nn.functional.normalize(pooled).numpy(), np.float32)


def prepare(source: PeerSource) -> Path:
    """Nothing needs to be converted."""
    return source.checkpoint


def load(source: PeerSource, threads: int) -> TorchPeer:
    """Loads the checkpoint."""
    return TorchPeer(prepare(source), threads)
