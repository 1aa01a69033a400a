"""A copy of a model with outlier channels, which large models have and small ones mostly do not.

A few seeded channels carry activations `factor` times as large as before: gain and bias of both LayerNorms of
every layer are multiplied there, except the last layer's output LayerNorm, and what reads the channel next
(the columns of Q, K and V from layer 1 on, and of FFN-in) is divided. An int8 quantiser that gives a token
one scale and does not balance channels loses the other channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import Checkpoint, Weights

CHANNELS: Final = 3
_READERS: Final = (
    "attention.self.query.weight",
    "attention.self.key.weight",
    "attention.self.value.weight",
    "intermediate.dense.weight",
)


class StressWeights:
    """Weights with outlier channels worked in when they are read.

    Attributes:
        channels: The outliers.
    """

    def __init__(self, weights: Weights, shape: Architecture, *, factor: float, seed: int) -> None:
        self._weights, self._shape, self._factor = weights, shape, np.float32(factor)
        self.channels = np.random.default_rng(seed).choice(shape.hidden, CHANNELS, replace=False)

    def names(self) -> Iterable[str]:
        """The tensors' names."""
        return self._weights.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return self._weights.shape(name)

    def read(self, name: str) -> Floats:
        """The whole tensor."""
        return self.read_rows(name, 0, self.shape(name)[0])

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows `start` to `stop`."""
        tensor = self._weights.read_rows(name, start, stop)
        if self._is_outlier_norm(name):
            chosen = self.channels[(self.channels >= start) & (self.channels < stop)] - start
            tensor[chosen] *= self._factor
        elif self._reads_outliers(name):
            tensor[:, self.channels] /= self._factor
        return tensor

    def _is_outlier_norm(self, name: str) -> bool:
        last = f"encoder.layer.{self._shape.layers - 1}.output.LayerNorm"
        return name.startswith("encoder.") and ".LayerNorm." in name and not name.startswith(last)

    def _reads_outliers(self, name: str) -> bool:
        # Layer 0's attention reads the embeddings' LayerNorm, which is left as it is.
        reads_embeddings = name.startswith("encoder.layer.0.attention")
        return name.endswith(_READERS) and not reads_embeddings


def stress_copy(checkpoint: Checkpoint, *, factor: float, seed: int) -> Checkpoint:
    """Returns the checkpoint with outlier channels."""
    weights = StressWeights(checkpoint.weights, checkpoint.architecture, factor=factor, seed=seed)
    return replace(checkpoint, weights=weights)
