"""fastembed on the same graph that optimum exports, as its users add a model of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.peers import BATCH, PeerSource
from e5_onnx_perf.peers.conversion import folder_bytes, standard_folder

try:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType
except ImportError as error:
    raise MissingExtraError("peers", "fastembed") from error


class FastembedPeer:
    """A custom model of fastembed's, in fp32."""

    def __init__(self, folder: Path, threads: int) -> None:
        name = f"local/{folder.name}"
        graph = folder / "onnx" / "model.onnx"
        TextEmbedding.add_custom_model(
            model=name,
            pooling=PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(hf=name),
            dim=1,
            model_file="onnx/model.onnx",
        )
        self._model = TextEmbedding(name, specific_model_path=str(folder), threads=threads, lazy_load=False)
        self.setting = f"custom model, fp32 ONNX, {threads} threads, batches of {BATCH}"
        self.precision = "fp32"
        self.disk_bytes = folder_bytes(folder, f"{graph.name}*", "*.json")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeds texts; see `Peer.encode`. It does not sort them, and neither do its users."""
        return np.stack(list(self._model.embed(list(texts), batch_size=BATCH))).astype(np.float32)


def prepare(source: PeerSource) -> Path:
    """Exports with optimum."""
    return standard_folder(source)


def load(source: PeerSource, threads: int) -> FastembedPeer:
    """Loads the export."""
    return FastembedPeer(prepare(source), threads)
