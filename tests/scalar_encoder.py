"""BERT in scalar Python: slow, nothing but lists and math, to hold the NumPy forward pass against."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tiny_models import InMemoryWeights

from e5_onnx.model_folder.manifest import Architecture, Pooling

Vector = list[float]


def embed(
    architecture: Architecture, weights: InMemoryWeights, pooling: Pooling, token_ids: Sequence[int]
) -> Vector:
    """The pooled unit vector of one text."""
    table = {name: weights.read(name).tolist() for name in weights.names()}

    def linear(vector: Vector, name: str) -> Vector:
        rows = zip(table[f"{name}.weight"], table[f"{name}.bias"], strict=True)
        return [_dot(row, vector) + bias for row, bias in rows]

    def norm(vector: Vector, name: str) -> Vector:
        mean = sum(vector) / len(vector)
        variance = sum((value - mean) ** 2 for value in vector) / len(vector)
        scale = 1 / math.sqrt(variance + architecture.layer_norm_eps)
        rows = zip(vector, table[f"{name}.weight"], table[f"{name}.bias"], strict=True)
        return [(value - mean) * scale * gain + bias for value, gain, bias in rows]

    states = []
    for position, token in enumerate(token_ids):
        word = table["embeddings.word_embeddings.weight"][token]
        place = table["embeddings.position_embeddings.weight"][position + architecture.position_offset]
        segments = table.get("embeddings.token_type_embeddings.weight", [[0.0] * len(word)])
        states.append(norm(_add(word, place, segments[0]), "embeddings.LayerNorm"))
    for layer in range(architecture.layers):
        here = f"encoder.layer.{layer}"
        query, key, value = (
            [linear(state, f"{here}.attention.self.{name}") for state in states]
            for name in ("query", "key", "value")
        )
        attended = [
            linear(_attend(row, key, value, heads=architecture.heads), f"{here}.attention.output.dense")
            for row in query
        ]
        states = [
            norm(_add(state, update), f"{here}.attention.output.LayerNorm")
            for state, update in zip(states, attended, strict=True)
        ]
        inner = [
            [x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in linear(state, f"{here}.intermediate.dense")]
            for state in states
        ]
        states = [
            norm(_add(state, linear(update, f"{here}.output.dense")), f"{here}.output.LayerNorm")
            for state, update in zip(states, inner, strict=True)
        ]
    pooled = (
        states[0] if pooling == "cls" else [sum(column) / len(states) for column in zip(*states, strict=True)]
    )
    length = math.sqrt(_dot(pooled, pooled))
    return [value / length for value in pooled]


def _attend(query: Vector, keys: list[Vector], values: list[Vector], *, heads: int) -> Vector:
    width = len(query) // heads
    result = []
    for start in range(0, len(query), width):
        part = slice(start, start + width)
        weights = [math.exp(_dot(query[part], key[part]) / math.sqrt(width)) for key in keys]
        for column in range(start, start + width):
            mixed = sum(weight * value[column] for weight, value in zip(weights, values, strict=True))
            result.append(mixed / sum(weights))
    return result


def _dot(left: Vector, right: Vector) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _add(*vectors: Vector) -> Vector:
    return [sum(values) for values in zip(*vectors, strict=True)]
