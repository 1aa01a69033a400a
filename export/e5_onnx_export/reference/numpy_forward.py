"""A plain NumPy forward pass of the BERT family: the check on the exported graph where torch is missing.

Nothing here is shared with the code that writes the graph: no packing, no balance, no ONNX, and the tensors
are found and read a second time by code of their own (`second_reading`). It does what Devlin et al. 2018
(arXiv 1810.04805) and Hugging Face's modeling_bert.py say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from e5_onnx.model_folder.manifest import Architecture, Pooling
from e5_onnx_export.arrays import Doubles, Floats, Ids
from e5_onnx_export.checkpoint.base import Projection, Weights
from e5_onnx_export.reference.erf import erf

_TYPE_TABLE: Final = "embeddings.token_type_embeddings.weight"
# Rows of the token embedding matrix read at once: 250,002 rows of 1024 floats would be 1 GB.
_TABLE_BLOCK: Final = 1024
# Rows of the widest matrix in work at once: float64 temporaries then stay in the processor's cache.
_ROW_BLOCK: Final = 32


@dataclass(frozen=True, slots=True)
class NumpyReference:
    """The encoder in NumPy; float32 products, float64 for GELU, LayerNorm, pooling and norm.

    Attributes:
        architecture: The encoder's shape.
        weights: Read one layer at a time, on every call.
        pooling: How the token vectors become one.
        projections: Dense layers after it.
        name: The name of this reference in the manifest.
    """

    architecture: Architecture
    weights: Weights
    pooling: Pooling
    projections: tuple[Projection, ...] = ()
    name: str = "numpy"

    def embed(self, token_ids: Sequence[Ids]) -> Floats:
        """Embeds texts, each by itself: there is no batch and no padding here.

        All texts go through a layer before the next layer's weights are read.

        Args:
            token_ids: One int64 array [n] per text, special tokens included, n >= 1.

        Returns:
            float32 [texts, dimension], unit length.
        """
        if not token_ids:
            return project(np.zeros((0, self.architecture.hidden)), self.projections)
        ends = np.cumsum([len(ids) for ids in token_ids])
        spans = [slice(end - len(ids), end) for end, ids in zip(ends.tolist(), token_ids, strict=True)]
        states = self._embeddings(token_ids)
        for layer in range(self.architecture.layers):
            states = self._layer(states, spans, f"encoder.layer.{layer}.")
        pooled = np.stack([_pool(states[span], self.pooling) for span in spans])
        return project(pooled, self.projections)

    def _embeddings(self, token_ids: Sequence[Ids]) -> Floats:
        positions = np.concatenate([self._positions(ids) for ids in token_ids])
        table = self.weights.read("embeddings.position_embeddings.weight")
        states = _read_words(self.weights, np.concatenate(token_ids))
        states += table[positions]
        if _TYPE_TABLE in self.weights.names():
            states += self.weights.read_rows(_TYPE_TABLE, 0, 1)
        return self._norm(states, "embeddings.LayerNorm")

    def _positions(self, ids: Ids) -> Ids:
        offset = self.architecture.position_offset
        if offset == 0:
            return np.arange(len(ids))
        # transformers' create_position_ids_from_input_ids: pad ids, which a literal "<pad>" in a text
        # makes, are not counted and stay at the pad id.
        counted = ids != offset - 1
        return np.asarray(np.cumsum(counted) * counted + offset - 1, np.int64)

    def _layer(self, states: Floats, spans: Sequence[slice], layer: str) -> Floats:
        query, key, value = (
            self._linear(states, f"{layer}attention.self.{name}") for name in ("query", "key", "value")
        )
        context = np.empty_like(states)
        for span in spans:
            context[span] = _attention(query[span], key[span], value[span], heads=self.architecture.heads)
        attended = self._linear(context, f"{layer}attention.output.dense")
        states = self._norm(states + attended, f"{layer}attention.output.LayerNorm")
        inner = self._linear(states, f"{layer}intermediate.dense")
        _gelu_in_place(inner)
        return self._norm(states + self._linear(inner, f"{layer}output.dense"), f"{layer}output.LayerNorm")

    def _linear(self, states: Floats, name: str) -> Floats:
        result = states @ self.weights.read(f"{name}.weight").T
        result += self.weights.read(f"{name}.bias")
        return result

    def _norm(self, states: Floats, name: str) -> Floats:
        """LayerNorm, in place."""
        gain, bias = self.weights.read(f"{name}.weight"), self.weights.read(f"{name}.bias")
        for rows in _row_blocks(states):
            wide = rows.astype(np.float64)
            wide -= wide.mean(axis=1, keepdims=True)
            wide /= np.sqrt((wide**2).mean(axis=1, keepdims=True) + self.architecture.layer_norm_eps)
            rows[:] = wide * gain + bias
        return states


def _read_words(weights: Weights, token_ids: Ids) -> Floats:
    name = "embeddings.word_embeddings.weight"
    states = np.empty((len(token_ids), weights.shape(name)[1]), np.float32)
    for block in np.unique(token_ids // _TABLE_BLOCK).tolist():
        start = block * _TABLE_BLOCK
        chosen = token_ids // _TABLE_BLOCK == block
        table = weights.read_rows(name, start, start + _TABLE_BLOCK)
        states[chosen] = table[token_ids[chosen] - start]
    return states


def _attention(query: Floats, key: Floats, value: Floats, *, heads: int) -> Floats:
    """Softmax(Q K^T / sqrt(width of a head)) V, each [tokens, hidden], by head."""
    tokens, hidden = query.shape

    def split(states: Floats) -> Floats:
        return states.reshape(tokens, heads, hidden // heads).transpose(1, 0, 2)

    scores: Floats = split(query) @ split(key).transpose(0, 2, 1)
    scores /= np.float32(math.sqrt(hidden // heads))
    scores -= scores.max(axis=2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=2, keepdims=True)
    context: Floats = (scores @ split(value)).transpose(1, 0, 2).reshape(tokens, hidden)
    return context


def _gelu_in_place(states: Floats) -> None:
    # The exact GELU, not the tanh one: x * (1 + erf(x / sqrt(2))) / 2, arXiv 1606.08415.
    for rows in _row_blocks(states):
        rows *= 0.5 * (1 + erf(rows.astype(np.float64) / math.sqrt(2)))


def _row_blocks(states: Floats) -> Iterator[Floats]:
    for start in range(0, len(states), _ROW_BLOCK):
        yield states[start : start + _ROW_BLOCK]


def _pool(states: Floats, pooling: Pooling) -> Doubles:
    wide: Doubles = states.astype(np.float64)
    return wide[0] if pooling == "cls" else np.asarray(wide.mean(axis=0))


def project(pooled: Doubles, projections: Sequence[Projection]) -> Floats:
    """Passes pooled vectors through dense layers, and gives them length 1.

    Args:
        pooled: float64 [texts, hidden].
        projections: The layers, in order.

    Returns:
        float32 [texts, dimension].
    """
    vectors = pooled
    for projection in projections:
        vectors = vectors @ projection.weight.T.astype(np.float64) + projection.bias
        if projection.activation == "tanh":
            vectors = np.tanh(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)
