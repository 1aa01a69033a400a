"""Self-attention: packed tokens in, packed tokens out."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.graph.builder import GraphBuilder
from e5_onnx_export.graph.layout import Layout


def author_attention(
    graph: GraphBuilder, qkv: ir.Value, *, layout: Layout, architecture: Architecture
) -> ir.Value:
    """Bidirectional attention over each text's own tokens.

    GroupQueryAttention with as many key heads as query heads and `causal` off is plain attention that skips
    padded keys, exactly; it takes Q, K and V in one tensor and a length for each text.

    Args:
        graph: The graph that receives the nodes.
        qkv: float32 [T, 3H], bias included.
        layout: The layout of the batch.
        architecture: The encoder's shape.

    Returns:
        float32 [T, H].
    """
    last_key = graph.op(
        "Cast", [graph.op("Sub", [layout.lengths, graph.scalar(1, np.int64)])], {"to": ir.DataType.INT32}
    )
    longest = graph.op("Cast", [layout.columns], {"to": ir.DataType.INT32})
    context = graph.contrib(
        "GroupQueryAttention",
        [layout.unpack(graph, qkv), None, None, None, None, last_key, longest],
        {"num_heads": architecture.heads, "kv_num_heads": architecture.heads, "causal": 0},
    )
    return layout.pack(graph, context, architecture.hidden)
