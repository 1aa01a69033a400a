"""Token ids to the first hidden state."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from e5_onnx.manifest import Architecture
from e5_onnx_export.checkpoint import Weights
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.layout import Layout
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.norm import author_layer_norm
from e5_onnx_export.graph.tables import WordTable
from e5_onnx_export.graph.tensors import EncoderTensors

def author_embeddings(
    graph: GraphBuilder,
    ids: ir.Value,
    mask: ir.Value,
    *,
    layout: Layout,
    architecture: Architecture,
    tensors: EncoderTensors,
    word_table: WordTable,
) -> ir.Value:
    """Word + position + token type 0, then LayerNorm.

    Args:
        graph: Where the nodes go.
        ids: int64 [B, S].
        mask: int64 [B, S].
        layout: Of the mask.
        architecture: The encoder's shape.
        tensors: The checkpoint's, as the graph wants them.
        word_table: How the word table is stored.

    Returns:
        float32 [T, H], smoothed for the first linear.
    """
    flat_mask = graph.op("Cast", [graph.op("Reshape", [mask, graph.indices(-1)])], {"to": ir.DataType.BOOL})
    tokens = graph.op("Compress", [ids, flat_mask])
    words = word_table.author(graph, tokens, tensors.weights)
    places = _place_ids(graph, ids, flat_mask, layout=layout, architecture=architecture)
    table = graph.constant("embeddings.positions", _position_table(architecture, tensors.weights))
    summed = graph.op("Add", [words, graph.op("Gather", [table, places])])
    affine = tensors.norm("embeddings.LayerNorm", LinearId(0, "qkv"))
    return author_layer_norm(
        graph, summed, "embeddings.LayerNorm", affine, epsilon=architecture.layer_norm_eps
    )


def _place_ids(
    graph: GraphBuilder, ids: ir.Value, flat_mask: ir.Value, *, layout: Layout, architecture: Architecture
) -> ir.Value:
    if architecture.position_offset == 0:
        return graph.op("Mod", [layout.slots, layout.columns])
    # The RoBERTa family counts ids that are not the pad id, and a pad id inside a text (a literal "<pad>")
    # takes row 0 of what is left of the table: create_position_ids_from_input_ids in transformers.
    pad = graph.scalar(architecture.position_offset - 1, np.int64)
    counted = graph.op("Cast", [graph.op("Not", [graph.op("Equal", [ids, pad])])], {"to": ir.DataType.INT64})
    places = graph.op("Mul", [graph.op("CumSum", [counted, graph.scalar(1, np.int64)]), counted])
    return graph.op("Compress", [places, flat_mask])


def _position_table(architecture: Architecture, weights: Weights) -> NDArray[np.float32]:
    """The rows that can be reached, with token type 0 added to each: every token has that type."""
    first = max(architecture.position_offset - 1, 0)
    table = weights.read_rows("embeddings.position_embeddings.weight", first, architecture.positions)
    return np.asarray(table + weights.read("embeddings.token_type_embeddings.weight")[0], np.float32)
