"""The linears of an encoder and where a checkpoint keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import Weights

LinearKind = Literal["qkv", "attention_out", "ffn_in", "ffn_out"]

# The tensors of the checkpoint that make up each linear, side by side.
_SOURCES: Final[dict[LinearKind, tuple[str, ...]]] = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention_out": ("attention.output.dense",),
    "ffn_in": ("intermediate.dense",),
    "ffn_out": ("output.dense",),
}


@dataclass(frozen=True, slots=True, order=True)
class LinearId:
    """One of the four linears of one layer."""

    layer: int
    kind: LinearKind

    def __str__(self) -> str:
        return f"layer.{self.layer}.{self.kind}"

    def weight(self, weights: Weights) -> Floats:
        """The matrix, float32 [K, N]."""
        parts = [weights.read(f"{source}.weight") for source in self._sources()]
        return np.ascontiguousarray(np.concatenate(parts).T)

    def bias(self, weights: Weights) -> Floats:
        """The bias, float32 [N]."""
        return np.concatenate([weights.read(f"{source}.bias") for source in self._sources()])

    def _sources(self) -> list[str]:
        return [f"encoder.layer.{self.layer}.{source}" for source in _SOURCES[self.kind]]


def linear_ids(architecture: Architecture) -> list[LinearId]:
    """Every linear of the encoder, in order of use."""
    return [LinearId(layer, kind) for layer in range(architecture.layers) for kind in _SOURCES]
