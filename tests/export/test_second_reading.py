"""The NumPy reference reads a checkpoint by itself: a fault in the graph's own reading shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checkpoint_folders import encoded, write_folder, write_safetensors, write_shards
from tiny_models import BERT, BODIES, tiny_weights

from e5_onnx.model_folder.manifest import Source
from e5_onnx_export import ExportRequest, ParityError, RecipeRequest, export
from e5_onnx_export.checkpoint import Checkpoint, bodies, encoder_weights, open_checkpoint
from e5_onnx_export.checkpoint.weights import SafetensorsWeights
from e5_onnx_export.errors import CheckpointError
from e5_onnx_export.reference.second_reading import read_again

SHAPE = replace(BERT, hidden=32, intermediate=64, positions=130)
KEY = "encoder.layer.1.attention.self.key.bias"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "tiny", SHAPE)


def assert_same(first, second):
    assert set(second.names()) == set(first.names())
    for name in first.names():
        assert second.shape(name) == first.shape(name)
        assert second.read(name).dtype == np.float32
        np.testing.assert_array_equal(second.read(name), first.read(name), err_msg=name)


@pytest.mark.parametrize("architecture", BODIES, ids=lambda row: row.body)
@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
@pytest.mark.parametrize("prefix", ["", "bert.", "model.encoder."])
def test_both_readings_find_the_same(tmp_path, architecture, dtype, prefix):
    folder = write_folder(tmp_path, architecture)
    tensors = encoded(tiny_weights(architecture), dtype, prefix, architecture)
    tensors["pooler.dense.bias"] = tensors[f"{prefix}embeddings.LayerNorm.bias"]
    write_safetensors(folder / "model.safetensors", tensors)
    checkpoint = open_checkpoint(str(folder))
    assert_same(checkpoint.weights, read_again(checkpoint))


def test_shards_and_old_names(tmp_path):
    folder = write_folder(tmp_path, BERT)
    (folder / "model.safetensors").unlink()
    tensors = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): tensor
        for name, tensor in encoded(tiny_weights(BERT)).items()
    }
    write_shards(folder, tensors, 3)
    checkpoint = open_checkpoint(str(folder))
    assert_same(checkpoint.weights, read_again(checkpoint))


def test_rows(folder):
    checkpoint = open_checkpoint(str(folder))
    words = "embeddings.word_embeddings.weight"
    for start, stop in ((0, 1), (7, 9), (290, 400)):
        found = read_again(checkpoint).read_rows(words, start, stop)
        np.testing.assert_array_equal(found, tiny_weights(SHAPE).read(words)[start:stop])


@pytest.mark.reference
def test_a_pickle(folder):
    import torch

    weights = tiny_weights(SHAPE)
    state = {f"bert.{name}": torch.from_numpy(weights.read(name)) for name in weights.names()}
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert_same(weights, read_again(open_checkpoint(str(folder))))


def test_weights_without_a_file_are_taken_as_they_are():
    weights = tiny_weights(BERT)
    source = Source(name="any", revision=None, license=None, weights_sha256="0" * 64)
    assert read_again(Checkpoint(source, BERT, weights, b"", None)) is weights


def test_a_file_that_it_does_not_understand(folder):
    checkpoint = open_checkpoint(str(folder))
    tensors = encoded(tiny_weights(SHAPE))
    write_safetensors(folder / "model.safetensors", {name: tensors[name] for name in tensors if name != KEY})
    with pytest.raises(
        CheckpointError, match=f"finds no tensor in it for '{KEY}': compare with reference='torch'"
    ):
        read_again(checkpoint).read(KEY)
    write_safetensors(folder / "model.safetensors", {KEY: tensors[KEY]})
    with pytest.raises(CheckpointError, match="holds 0 token embedding matrices instead of one"):
        read_again(checkpoint)


def exchanged(part):
    """The place of another tensor of the same shape."""
    return part.replace("query", "KEY").replace("key", "query").replace("KEY", "key")


def a_wrong_name(monkeypatch):
    true = bodies.Body.stored
    monkeypatch.setattr(bodies.Body, "stored", lambda body, name: exchanged(true(body, name)))


def a_stray_tensor(monkeypatch):
    true = encoder_weights._sort

    def sort(*given):
        found, spare = true(*given)
        found["encoder.layer.0.output.LayerNorm.weight"] = found["encoder.layer.1.output.LayerNorm.weight"]
        return found, spare

    monkeypatch.setattr(encoder_weights, "_sort", sort)


def a_wrong_row(monkeypatch):
    true = SafetensorsWeights.read_rows
    monkeypatch.setattr(
        SafetensorsWeights, "read_rows", lambda self, *given: np.roll(true(self, *given), 1, axis=0)
    )


def a_wrong_sign(monkeypatch):
    true = SafetensorsWeights.read
    monkeypatch.setattr(SafetensorsWeights, "read", lambda self, name: -true(self, name))


@pytest.mark.parametrize("fault", [a_wrong_name, a_stray_tensor, a_wrong_row, a_wrong_sign])
def test_a_fault_in_the_graphs_reading_is_found(folder, tmp_path, monkeypatch, fault):
    request = ExportRequest(
        str(folder), tmp_path / "out", recipe=RecipeRequest("e5-prefix"), reference="numpy", lean=False
    )
    fault(monkeypatch)
    with pytest.raises(ParityError, match="max_abs"):
        export(request)
    assert not request.out.exists()
    monkeypatch.undo()
    export(request)
