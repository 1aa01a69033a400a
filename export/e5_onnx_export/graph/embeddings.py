"""Token ids to the first hidden state."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import Weights
from e5_onnx_export.checkpoint.encoder_weights import TYPE_TABLE, token_types
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.layout import Layout, TokenGrid
from e5_onnx_export.graph.linear_id import LinearId
from e5_onnx_export.graph.norm import author_layer_norm
from e5_onnx_export.graph.tables import WordTable
from e5_onnx_export.graph.tensors import EncoderTensors


def author_embeddings(
    graph: GraphBuilder,
    grid: TokenGrid,
    layout: Layout,
    *,
    architecture: Architecture,
    tensors: EncoderTensors,
    word_table: WordTable,
) -> ir.Value:
    """Word + position + token type 0, then LayerNorm.

    Args:
        graph: The graph that receives the nodes.
        grid: The graph's inputs.
        layout: The layout of their mask.
        architecture: The encoder's shape.
        tensors: The checkpoint's, as the graph wants them.
        word_table: The storage of the token embedding matrix.

    Returns:
        float32 [T, H], smoothed for the first linear.
    """
    words = word_table.author(graph, grid.real(graph, grid.ids), tensors.weights)
    table = graph.constant("embeddings.positions", _position_table(architecture, tensors.weights))
    places = graph.op("Gather", [table, _place_ids(graph, grid, layout, architecture=architecture)])
    affine = tensors.norm("embeddings.LayerNorm", LinearId(0, "qkv"))
    return author_layer_norm(
        graph,
        graph.op("Add", [words, places]),
        affine,
        name="embeddings.LayerNorm",
        epsilon=architecture.layer_norm_eps,
    )


def _place_ids(
    graph: GraphBuilder, grid: TokenGrid, layout: Layout, *, architecture: Architecture
) -> ir.Value:
    """The row of the position table for each real token: int64 [T]."""
    if architecture.position_offset == 0:
        return graph.op("Mod", [layout.slots, layout.columns])
    # The RoBERTa family counts ids that are not the pad id, and a pad id inside a text (a literal "<pad>")
    # takes row 0 of what is left of the table: create_position_ids_from_input_ids in transformers.
    pad = graph.scalar(architecture.position_offset - 1, np.int64)
    is_token = graph.op("Not", [graph.op("Equal", [grid.ids, pad])])
    counted = graph.op("Cast", [is_token], {"to": ir.DataType.INT64})
    places = graph.op("Mul", [graph.op("CumSum", [counted, graph.scalar(1, np.int64)]), counted])
    return grid.real(graph, places)


def _position_table(architecture: Architecture, weights: Weights) -> Floats:
    """The rows that can be reached, with token type 0 added to each: every token has that type, if any."""
    first = max(architecture.position_offset - 1, 0)
    table = weights.read_rows("embeddings.position_embeddings.weight", first, architecture.positions)
    if token_types(weights) is None:
        return table
    return np.asarray(table + weights.read(TYPE_TABLE)[0], np.float32)
