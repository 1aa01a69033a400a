"""One encoder layer: attention and feed-forward, each with residual and LayerNorm (post-norm, as in BERT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.graph.attention import author_attention
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.layout import Layout
from e5_onnx_export.graph.linear import LinearFormat
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.norm import author_layer_norm
from e5_onnx_export.graph.tensors import EncoderTensors


@dataclass(frozen=True, slots=True)
class LayerAuthor:
    """Authors the layers of one encoder; between them goes the hidden state, smoothed for what reads it."""

    graph: GraphBuilder
    architecture: Architecture
    tensors: EncoderTensors
    layout: Layout
    formats: Mapping[LinearId, LinearFormat]

    def author(self, x: ir.Value, layer: int) -> ir.Value:
        """float32 [T, H] to float32 [T, H]."""
        qkv = self._linear(x, LinearId(layer, "qkv"))
        context = author_attention(self.graph, qkv, layout=self.layout, architecture=self.architecture)
        x = self._close(context, x, LinearId(layer, "attention_out"))
        # Not BiasGelu, which takes about twice as long.
        activated = self.graph.op("Gelu", [self._linear(x, LinearId(layer, "ffn_in"))])
        return self._close(activated, x, LinearId(layer, "ffn_out"))

    def _close(self, x: ir.Value, residual: ir.Value, linear: LinearId) -> ir.Value:
        """The second linear of a half, its residual, and the LayerNorm that ends the half."""
        product = self._linear(x, linear)
        scale = self.tensors.residual_scale(linear)
        if scale is not None:
            residual = self.graph.op(
                "Mul", [residual, self.graph.constant(f"{linear}.residual_scale", scale)]
            )
        # Not SkipLayerNormalization: on a CPU that operator takes five times as long.
        summed = self.graph.op("Add", [product, residual])
        if linear.kind == "attention_out":
            name, then = "attention.output.LayerNorm", LinearId(linear.layer, "ffn_in")
        else:
            name, then = "output.LayerNorm", LinearId(linear.layer + 1, "qkv")
        affine = self.tensors.norm(f"encoder.layer.{linear.layer}.{name}", then)
        return author_layer_norm(
            self.graph,
            summed,
            affine,
            name=f"layer.{linear.layer}.{name}",
            epsilon=self.architecture.layer_norm_eps,
        )

    def _linear(self, x: ir.Value, linear: LinearId) -> ir.Value:
        x.name = f"{linear}.input"  # calibration reads it under this name
        return self.formats[linear].author(self.graph, x, self.tensors.linear(linear), name=str(linear))
