"""Graphs of one attention each, in ONNX's text form: packed Q, K and V of a batch in, contexts out."""

from __future__ import annotations

import math
from typing import Final

import onnx.parser

from e5_onnx.inference.session import session_options
from e5_onnx.silent import onnxruntime

# qkv float32 [B, S, 3H] and lengths int32 [B], the tokens of each text, to context float32 [B, S, H].
# Opset 23 is the first with Attention.
_MODEL: Final = """
<ir_version: 11, opset_import: ["": 23, "com.microsoft": 1]>
attention (float[B, S, {packed}] qkv, int32[B] lengths) => (float[B, S, {hidden}] context) {{
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    shape = Shape (qkv)
    columns = Gather (shape, one)
    {body}
}}
"""
_SPLIT: Final = "q, k, v = Split <axis = -1, num_outputs = 3> (qkv)"
# Which keys are real: bool [B, 1, 1, S].
_REAL: Final = """
    places = Range (zero, columns, one)
    column = Constant <value_ints = [-1, 1, 1, 1]> ()
    ends = Reshape (lengths, column)
    wide_ends = Cast <to = 7> (ends)
    real = Less (places, wide_ends)
"""
_HEADS: Final = "q_num_heads = {heads}, kv_num_heads = {heads}"

OPERATORS: Final[dict[str, str]] = {
    # As the exporter writes it: with as many key heads as query heads; skips padded keys.
    "GroupQueryAttention": """
    one_32 = Cast <to = 6> (one)
    last = Sub (lengths, one_32)
    longest = Cast <to = 6> (columns)
    context = com.microsoft.GroupQueryAttention <num_heads = {heads}, kv_num_heads = {heads}, causal = 0>
        (qkv, , , , , last, longest)
    """,
    "MultiHeadAttention, lengths": _SPLIT + """
    context = com.microsoft.MultiHeadAttention <num_heads = {heads}> (q, k, v, , lengths)
    """,
    # Without a mask: only right where all texts are as long.
    "MultiHeadAttention, no mask": _SPLIT + """
    context = com.microsoft.MultiHeadAttention <num_heads = {heads}> (q, k, v)
    """,
    "Attention (ONNX), mask": _SPLIT + _REAL + """
    first = Constant <value_ints = [0]> ()
    second = Constant <value_ints = [1]> ()
    rows = Gather (shape, first)
    width = Gather (shape, second)
    square = Concat <axis = 0> (rows, second, width, width)
    mask = Expand (real, square)
    context = Attention <""" + _HEADS + """> (q, k, v, mask)
    """,
    "Attention (ONNX), no mask": _SPLIT + """
    context = Attention <""" + _HEADS + """> (q, k, v)
    """,
    "MatMul, Softmax, MatMul": _SPLIT + _REAL + """
    by_head = Constant <value_ints = [0, 0, {heads}, {size}]> ()
    q_heads = Reshape (q, by_head)
    k_heads = Reshape (k, by_head)
    v_heads = Reshape (v, by_head)
    queries = Transpose <perm = [0, 2, 1, 3]> (q_heads)
    keys = Transpose <perm = [0, 2, 3, 1]> (k_heads)
    values = Transpose <perm = [0, 2, 1, 3]> (v_heads)
    scale = Constant <value_float = {scale}> ()
    scaled = Mul (queries, scale)
    scores = MatMul (scaled, keys)
    far_below = Constant <value_float = -1000000000.0> ()
    masked = Where (real, scores, far_below)
    weights = Softmax <axis = -1> (masked)
    by_heads = MatMul (weights, values)
    by_rows = Transpose <perm = [0, 2, 1, 3]> (by_heads)
    joined = Constant <value_ints = [0, 0, {hidden}]> ()
    context = Reshape (by_rows, joined)
    """,
}  # fmt: skip
MASKLESS: Final = frozenset(name for name in OPERATORS if name.endswith("no mask"))


def open_operator(name: str, *, heads: int, hidden: int, threads: int) -> onnxruntime.InferenceSession:
    """A session of one operator: `qkv` float32 [B, S, 3H] and `lengths` int32 [B] to float32 [B, S, H]."""
    size = hidden // heads
    body = OPERATORS[name].format(heads=heads, hidden=hidden, size=size, scale=1 / math.sqrt(size))
    model = onnx.parser.parse_model(_MODEL.format(packed=3 * hidden, hidden=hidden, body=body))
    return onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(threads), providers=["CPUExecutionProvider"]
    )
