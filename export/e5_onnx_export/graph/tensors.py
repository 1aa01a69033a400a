"""The encoder's tensors as the graph wants them: linears side by side, and smoothed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import Weights
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.smoothing import Smoothing


@dataclass(frozen=True, slots=True)
class Affine:
    """float32 `weight` and `bias`: of a linear [K, N] and [N], of a LayerNorm [H] and [H]."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class EncoderTensors:
    """A checkpoint's tensors, with the smoothing of each linear's input worked into its neighbours.

    Attributes:
        weights: The checkpoint.
        smoothings: Linears whose input is smoothed; none for full precision.
    """

    weights: Weights
    smoothings: Mapping[LinearId, Smoothing] = field(default_factory=dict)

    def norm(self, name: str, then: LinearId) -> Affine:
        """Gain and bias of a LayerNorm whose result goes into the linear `then`, smoothed for it."""
        gain, bias = self.weights.read(f"{name}.weight"), self.weights.read(f"{name}.bias")
        smoothing = self.smoothings.get(then)
        return (
            Affine(gain, bias) if smoothing is None else Affine(gain / smoothing.scale, smoothing.apply(bias))
        )

    def linear(self, linear: LinearId) -> Affine:
        """Weight and bias of a linear that gets smoothed inputs."""
        weight, bias = linear.weight(self.weights), linear.bias(self.weights)
        smoothing = self.smoothings.get(linear)
        if smoothing is not None:
            weight, bias = smoothing.weight(weight), smoothing.bias(bias, weight)
        if linear.kind == "qkv":
            return self._smooth_value(Affine(weight, bias), LinearId(linear.layer, "attention_out"))
        residual = self._residual(linear)
        return Affine(weight, bias if residual is None else bias + residual.shift)

    def residual_scale(self, linear: LinearId) -> Floats | None:
        """The factor that turns the smoothed residual into the true one, less its shift; None for none."""
        residual = self._residual(linear)
        return None if residual is None else residual.scale

    def _residual(self, linear: LinearId) -> Smoothing | None:
        """The smoothing of the hidden state that is added to what `linear` gives."""
        if linear.kind == "attention_out":
            return self.smoothings.get(LinearId(linear.layer, "qkv"))
        if linear.kind == "ffn_out":
            return self.smoothings.get(LinearId(linear.layer, "ffn_in"))
        return None

    def _smooth_value(self, qkv: Affine, reader: LinearId) -> Affine:
        """Smooths what attention gives to `reader`, in the columns of V."""
        smoothing = self.smoothings.get(reader)
        if smoothing is None:
            return qkv
        weight, bias = qkv.weight.copy(), qkv.bias.copy()
        value = slice(-len(smoothing.scale), None)
        weight[:, value] /= smoothing.scale
        bias[value] = smoothing.apply(bias[value])
        return Affine(weight, bias)
