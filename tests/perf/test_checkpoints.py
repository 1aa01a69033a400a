from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_models import XLM_ROBERTA, tiny_weights

from e5_onnx_perf.checkpoints.seeded import SeededWeights, architecture
from e5_onnx_perf.checkpoints.stress import StressWeights

# More rows of the word table than are drawn at once.
SHAPE = replace(XLM_ROBERTA, vocabulary=5000)


def test_the_published_shapes() -> None:
    large, small = architecture("large"), architecture("small")
    assert (large.layers, large.hidden, large.heads, large.intermediate) == (24, 1024, 16, 4096)
    assert (small.layers, small.hidden, small.heads, small.intermediate) == (12, 384, 12, 1536)
    assert (large.vocabulary, large.positions - large.position_offset) == (250_002, 512)


def test_a_seed_is_a_checkpoint() -> None:
    one, same, other = SeededWeights(SHAPE, 1), SeededWeights(SHAPE, 1), SeededWeights(SHAPE, 2)
    for name in one.names():
        np.testing.assert_array_equal(one.read(name), same.read(name))
    table = "embeddings.word_embeddings.weight"
    assert not np.array_equal(one.read(table), other.read(table))


def test_any_rows_are_those_of_the_whole() -> None:
    weights = SeededWeights(SHAPE, 0)
    table = "embeddings.word_embeddings.weight"
    whole = weights.read(table)
    assert whole.shape == weights.shape(table) == (5000, SHAPE.hidden)
    for start, stop in ((0, 10), (4000, 4200), (4096, 5000), (4990, 9999)):
        np.testing.assert_array_equal(weights.read_rows(table, start, stop), whole[start:stop])


def test_the_distribution() -> None:
    weights = SeededWeights(SHAPE, 0)
    table = weights.read("embeddings.word_embeddings.weight")
    assert abs(table.mean()) < 1e-3
    assert table.std() == pytest.approx(0.02, rel=0.02)
    assert set(weights.read("encoder.layer.1.output.LayerNorm.weight").tolist()) == {1.0}
    assert set(weights.read("encoder.layer.1.output.LayerNorm.bias").tolist()) == {0.0}


FACTOR = 20.0
LAST = XLM_ROBERTA.layers - 1

# By name: what becomes of the outlier channels, and along which axis.
CHANGES = {
    "embeddings.LayerNorm.weight": (1, 0),
    "encoder.layer.0.attention.self.query.weight": (1, 1),
    "encoder.layer.0.attention.self.value.bias": (1, 0),
    "encoder.layer.0.attention.output.LayerNorm.weight": (FACTOR, 0),
    "encoder.layer.0.output.LayerNorm.bias": (FACTOR, 0),
    "encoder.layer.0.intermediate.dense.weight": (1 / FACTOR, 1),
    "encoder.layer.0.attention.output.dense.weight": (1, 1),
    "encoder.layer.0.output.dense.weight": (1, 1),
    f"encoder.layer.{LAST}.attention.self.key.weight": (1 / FACTOR, 1),
    f"encoder.layer.{LAST}.attention.output.LayerNorm.bias": (FACTOR, 0),
    f"encoder.layer.{LAST}.intermediate.dense.weight": (1 / FACTOR, 1),
    f"encoder.layer.{LAST}.output.LayerNorm.weight": (1, 0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_outliers_stand_where_the_recipe_puts_them(name: str) -> None:
    weights = tiny_weights(XLM_ROBERTA, 3)
    stress = StressWeights(weights, XLM_ROBERTA, factor=FACTOR, seed=0)
    factor, axis = CHANGES[name]
    expected = np.array(weights.read(name))
    chosen = (slice(None),) * axis + (stress.channels,)
    expected[chosen] *= np.float32(factor)
    np.testing.assert_allclose(stress.read(name), expected, rtol=1e-6)
    np.testing.assert_allclose(stress.read_rows(name, 1, 3), expected[1:3], rtol=1e-6)


def test_three_seeded_channels() -> None:
    weights = tiny_weights(XLM_ROBERTA, 3)
    first = StressWeights(weights, XLM_ROBERTA, factor=2, seed=0)
    assert len(set(first.channels.tolist())) == 3
    assert set(first.names()) == set(weights.names())
    again = StressWeights(weights, XLM_ROBERTA, factor=2, seed=0)
    assert first.channels.tolist() == again.channels.tolist()
