"""The NumPy forward pass against scalar Python, and against transformers where that is installed."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import scalar_encoder
from tiny_models import BERT, BODIES, ROBERTA, XLM_ROBERTA, InMemoryWeights, tiny_weights, write_checkpoint

from e5_onnx.errors import MissingExtraError
from e5_onnx.model_folder.manifest import Source
from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.errors import CheckpointError
from e5_onnx_export.reference import open_reference
from e5_onnx_export.reference.erf import erf
from e5_onnx_export.reference.numpy_forward import NumpyReference

LENGTHS = (1, 2, 32, 5, 17, 5)

over_bodies = pytest.mark.parametrize("architecture", BODIES, ids=lambda architecture: architecture.body)
over_poolings = pytest.mark.parametrize("pooling", ["mean", "cls"])


def token_ids(lengths=LENGTHS, *, vocabulary=BERT.vocabulary):
    generator = np.random.default_rng(7)
    # From 4 on: the RoBERTa family counts no position for the pad token, and this pass knows no pads.
    return [generator.integers(4, vocabulary, size=length) for length in lengths]


def checkpoint(architecture, weights, folder=None):
    source = Source("tiny", None, None, "0" * 64)
    return Checkpoint(source, architecture, weights, b"{}", folder, folder)


@dataclass(frozen=True, slots=True)
class CountingWeights(InMemoryWeights):
    """Counts what is read: whole tensors by name, rows as (start, stop)."""

    reads: Counter = field(default_factory=Counter)

    def read(self, name):
        self.reads[name] += 1
        return InMemoryWeights.read(self, name)

    def read_rows(self, name, start, stop):
        self.reads[name, start, stop] += 1
        return InMemoryWeights.read_rows(self, name, start, stop)


class TestErf:
    def test_agrees_with_the_c_library_everywhere(self):
        values = np.concatenate([np.linspace(-7, 7, 20_001), np.geomspace(1e-300, 1e3, 2_001)])
        expected = np.array([math.erf(value) for value in values])
        assert np.abs(erf(values) - expected).max() < 1e-13

    def test_is_odd_and_ends_in_one(self):
        values = np.array([0.0, 1e-9, 0.3, 2.5, 6.0, 40.0, np.inf])
        np.testing.assert_array_equal(erf(-values), -erf(values))
        np.testing.assert_array_equal(erf(values)[-3:], 1.0)
        assert np.signbit(erf(np.array([-0.0])))[0]

    def test_keeps_nan_and_shape_and_takes_float32(self):
        values = np.array([[np.nan, 0.5]], np.float32)
        found = erf(values)
        assert found.shape == (1, 2)
        assert found.dtype == np.float64
        assert np.isnan(found[0, 0])
        assert found[0, 1] == pytest.approx(math.erf(0.5), abs=1e-14)


class TestAgainstScalarPython:
    @over_bodies
    @over_poolings
    def test_vectors_are_the_same(self, architecture, pooling):
        weights, texts = tiny_weights(architecture, 3), token_ids((1, 2, 9))
        found = NumpyReference(architecture, weights, pooling).embed(texts)
        expected = [scalar_encoder.embed(architecture, weights, pooling, ids.tolist()) for ids in texts]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=5e-7, rtol=0)

    def test_every_tensor_moves_the_vector(self):
        weights, texts = tiny_weights(BERT, 3), token_ids((9,))
        before = NumpyReference(BERT, weights, "mean").embed(texts)
        # A key's bias adds the same to every score of a row, which softmax takes out again.
        names = [name for name in weights.names() if not name.endswith("key.bias")]
        for name in names:
            changed = InMemoryWeights({**weights.tensors, name: 1.5 * weights.tensors[name] + 0.1})
            after = NumpyReference(BERT, changed, "mean").embed(texts)
            assert np.abs(after - before).max() > 1e-4, name


class TestShape:
    @over_poolings
    def test_a_text_does_not_see_its_neighbours(self, pooling):
        reference = NumpyReference(XLM_ROBERTA, tiny_weights(XLM_ROBERTA), pooling)
        texts = token_ids()
        together = reference.embed(texts)
        alone = np.concatenate([reference.embed([ids]) for ids in texts])
        np.testing.assert_allclose(together, alone, atol=5e-7, rtol=0)
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)

    def test_no_texts_give_no_rows(self):
        assert NumpyReference(BERT, tiny_weights(BERT), "mean").embed([]).shape == (0, BERT.hidden)

    def test_pooling_differs(self):
        weights, texts = tiny_weights(BERT), token_ids((1, 9))
        mean, cls = (NumpyReference(BERT, weights, pooling).embed(texts) for pooling in ("mean", "cls"))
        np.testing.assert_array_equal(mean[0], cls[0])
        assert np.abs(mean[1] - cls[1]).max() > 1e-2

    def test_each_tensor_is_read_once_and_the_word_table_only_where_it_is_used(self):
        architecture = replace(BERT, vocabulary=5000)
        weights = CountingWeights(tiny_weights(architecture).tensors)
        texts = [np.array([5, 4999, 7]), np.array([2048, 4999])]
        NumpyReference(architecture, weights, "mean").embed(texts)
        word, segment = "embeddings.word_embeddings.weight", "embeddings.token_type_embeddings.weight"
        rows = {(word, 0, 1024), (word, 2048, 3072), (word, 4096, 5120), (segment, 0, 1)}
        assert set(weights.reads) == {*weights.names()} - {word, segment} | rows
        assert set(weights.reads.values()) == {1}


class TestOpenReference:
    def test_numpy_is_there_without_torch(self, monkeypatch):
        self.hide(monkeypatch, "torch")
        opened = open_reference("auto", checkpoint(BERT, tiny_weights(BERT)), "mean")
        assert opened.name == "numpy"

    @pytest.mark.parametrize("module", ["torch", "transformers"])
    def test_torch_asked_for_and_missing(self, monkeypatch, module):
        self.hide(monkeypatch, module)
        with pytest.raises(
            MissingExtraError, match=r"torch is not installed: `pip install 'e5-onnx\[reference\]'"
        ):
            open_reference("torch", checkpoint(BERT, tiny_weights(BERT)), "mean")

    @staticmethod
    def hide(monkeypatch, module):
        monkeypatch.delitem(sys.modules, "e5_onnx_export.reference.torch_forward", raising=False)
        monkeypatch.setitem(sys.modules, module, None)

    @pytest.mark.reference
    def test_auto_prefers_torch(self):
        assert open_reference("auto", checkpoint(BERT, tiny_weights(BERT)), "mean").name == "torch"


@pytest.mark.reference
class TestAgainstTransformers:
    @over_bodies
    @over_poolings
    @pytest.mark.parametrize("from_folder", [False, True], ids=["built", "loaded"])
    def test_vectors_are_the_same(self, tmp_path, architecture, pooling, from_folder):
        weights, texts = tiny_weights(architecture, 5), token_ids()
        folder = write_checkpoint(tmp_path / "hf", architecture, weights, "{}") if from_folder else None
        torch = open_reference("torch", checkpoint(architecture, weights, folder), pooling)
        found = torch.embed(texts)
        assert found.dtype == np.float32
        expected = NumpyReference(architecture, weights, pooling).embed(texts)
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)

    def test_a_checkpoint_with_a_prefix_is_loaded(self, tmp_path):
        weights, texts = tiny_weights(ROBERTA), token_ids()
        folder = write_checkpoint(tmp_path, ROBERTA, weights, "{}", prefix="roberta.")
        found = open_reference("torch", checkpoint(ROBERTA, weights, folder), "mean").embed(texts)
        expected = NumpyReference(ROBERTA, weights, "mean").embed(texts)
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)

    def test_a_folder_that_lacks_a_tensor(self, tmp_path):
        name = "encoder.layer.1.output.dense.bias"
        weights = tiny_weights(BERT)
        del weights.tensors[name]
        folder = write_checkpoint(tmp_path, BERT, weights, "{}")
        with pytest.raises(
            CheckpointError, match=f"does not find tensor '{name}' .1 missing.*reference='numpy'"
        ):
            open_reference("torch", checkpoint(BERT, weights, folder), "mean")

    def test_weights_that_do_not_fit(self):
        weights = tiny_weights(BERT)
        del weights.tensors["embeddings.LayerNorm.bias"]
        with pytest.raises(
            CheckpointError, match=r"tiny: its tensors do not fit .*embeddings\.LayerNorm\.bias"
        ):
            open_reference("torch", checkpoint(BERT, weights), "mean")

    @pytest.mark.real
    def test_the_demonstration_model(self):
        demo = open_checkpoint("demo")
        texts = token_ids((3, 40, 512), vocabulary=demo.architecture.vocabulary)
        expected = open_reference("torch", demo, "mean").embed(texts)
        found = open_reference("numpy", demo, "mean").embed(texts)
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)
