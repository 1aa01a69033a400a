"""Dense modules after the pooling, as LaBSE and distiluse have them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from checkpoint_folders import write_dense, write_folder, write_json, write_modules
from tiny_models import BERT, DISTILBERT, XLM_ROBERTA

from e5_onnx import Embedder, verify_folder
from e5_onnx_export import ExportRequest, ParityError, RecipeRequest, export
from e5_onnx_export.checkpoint import local, open_checkpoint
from e5_onnx_export.checkpoint.dense import read_dense
from e5_onnx_export.errors import CheckpointError, UnsupportedModelError
from e5_onnx_export.reference.second_reading import read_projections_again

SHAPE = replace(BERT, hidden=32, intermediate=64, positions=130)
IDENTITY = "torch.nn.modules.linear.Identity"
TEXTS = ["tea", "", "the moon and the sea " * 9, "Größe 7"]


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """As LaBSE is: first token, Dense with tanh, Normalize."""
    folder = write_folder(tmp_path / "model", SHAPE)
    write_modules(folder, "Transformer", "Pooling", "Dense", "Normalize", pooling="cls")
    write_dense(folder / "2_Dense", 0.3 * random(24, 32), random(24))
    return folder


def run(folder, out, reference="numpy", **options):
    request = ExportRequest(
        str(folder), out, recipe=RecipeRequest("plain"), reference=reference, lean=False, **options
    )
    export(request)
    with Embedder(out, overflow="truncate") as model:
        return model.embed_documents(TEXTS)


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_the_folder_has_the_dimension_of_the_last_layer(folder, tmp_path, precision):
    assert run(folder, tmp_path / "out", precision=precision).shape == (4, 24)
    manifest = json.loads((tmp_path / "out" / "e5.json").read_text("utf-8"))
    assert (manifest["dimension"], manifest["architecture"]["hidden"]) == (24, 32)
    assert manifest["projections"] == [{"dimension": 24, "activation": "tanh"}]
    assert verify_folder(tmp_path / "out").max_abs == 0
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert (
        "the vector of its first token, passed through a dense layer to 24 (tanh), scaled to length 1" in card
    )


def test_layers_that_change_nothing_change_nothing(folder, tmp_path):
    twice = 2 * np.eye(32, dtype=np.float32)
    write_modules(folder, "Transformer", "Pooling", "Dense", "Dense", "Normalize", pooling="cls")
    write_dense(folder / "2_Dense", twice[::-1], activation=IDENTITY)
    write_dense(folder / "3_Dense", twice, np.zeros(32, np.float32), activation=IDENTITY)
    found = run(folder, tmp_path / "out")
    write_modules(folder, "Transformer", "Pooling", "Normalize", pooling="cls")
    np.testing.assert_allclose(found, run(folder, tmp_path / "plain")[:, ::-1], atol=1e-6, rtol=0)


def test_the_hash_of_the_weights_is_also_of_the_layers(folder):
    files = [folder / "model.safetensors", folder / "2_Dense" / "model.safetensors"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert open_checkpoint(str(folder)).source.weights_sha256 == digest


def test_what_a_config_leaves_out(folder):
    values = json.loads((folder / "2_Dense" / "config.json").read_text("utf-8"))
    for left_out in ("activation_function", "bias"):
        del values[left_out]
    write_json(folder / "2_Dense" / "config.json", values)
    (projection,) = open_checkpoint(str(folder)).projections
    assert projection.activation == "tanh"
    np.testing.assert_array_equal(projection.bias, random(24))


def test_both_readings_find_the_same(folder):
    write_modules(folder, "Transformer", "Pooling", "Dense", "Dense")
    write_dense(folder / "3_Dense", random(8, 24), activation=IDENTITY)
    checkpoint = open_checkpoint(str(folder))
    second = read_projections_again(checkpoint)
    assert len(second) == 2
    for left, right in zip(checkpoint.projections, second, strict=True):
        assert left.activation == right.activation
        np.testing.assert_array_equal(left.weight, right.weight)
        np.testing.assert_array_equal(left.bias, right.bias)


def test_a_layer_that_is_read_wrong_is_found(folder, tmp_path, monkeypatch):
    true = read_dense

    def read(*given):
        dense = true(*given)
        return replace(dense, projection=replace(dense.projection, weight=dense.projection.weight[::-1]))

    monkeypatch.setattr(local, "read_dense", read)
    with pytest.raises(ParityError, match="max_abs"):
        run(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"activation_function": "torch.nn.modules.activation.ReLU"},
            "has the activation 'torch.nn.modules.activation.ReLU', where the graph has Tanh and Identity",
        ),
        ({"activation_function": "own.Code"}, "has the activation 'own.Code', which is code of its own"),
        ({"in_features": 31}, "takes vectors of 31 components, and the pooling gives 32"),
        ({"out_features": 0}, "has out_features 0, not a positive number"),
        (
            {"out_features": 23},
            r"'linear.weight' has shape \[24, 32\], 2_Dense/config.json asks for \[23, 32\]",
        ),
        ({"bias": False}, "do not agree on whether there is a tensor 'linear.bias'"),
        ({"module_input_name": "token_embeddings"}, "works on sentence_embedding and token_embeddings"),
    ],
)
def test_a_layer_that_the_graph_does_not_have_is_refused(folder, changes, sentence):
    values = json.loads((folder / "2_Dense" / "config.json").read_text("utf-8"))
    write_json(folder / "2_Dense" / "config.json", values | changes)
    with pytest.raises(CheckpointError, match=sentence):
        open_checkpoint(str(folder))


def test_weights_that_are_missing(folder):
    (folder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model.safetensors: is missing from .*2_Dense, and so is"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    "kinds",
    [
        ("Transformer", "Dense", "Pooling"),
        ("Transformer", "Pooling", "Normalize", "Dense"),
        ("Transformer", "Dense"),
    ],
)
def test_another_order_is_refused(folder, kinds):
    write_modules(folder, *kinds)
    for one, two in pairwise(enumerate(kinds)):
        write_dense(folder / f"{two[0]}_{two[1]}", random(32, 32))
        assert one
    with pytest.raises(UnsupportedModelError, match=f"has the modules {', '.join(kinds)}, where"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize("options", [{"graph": "standard"}, {"precision": "int8-stock"}])
def test_optimums_graphs_have_no_place_for_it(folder, tmp_path, options):
    with pytest.raises(
        UnsupportedModelError, match="a Dense module after the pooling: only the unpadded graph"
    ):
        run(folder, tmp_path / "out", **options)


@pytest.mark.reference
@pytest.mark.parametrize("reference", ["numpy", "torch"])
@pytest.mark.parametrize("pickled", [True, False])
@pytest.mark.parametrize("shape", [BERT, DISTILBERT, XLM_ROBERTA], ids=lambda shape: shape.body)
def test_vectors_are_sentence_transformers(tmp_path, shape, pickled, reference):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    shape = replace(shape, hidden=32, intermediate=64, positions=128 + shape.position_offset)
    inner = write_folder(tmp_path / "inner", shape)
    special = {"pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 128, **special}
    write_json(
        inner / "tokenizer_config.json", config | {"model_input_names": ["input_ids", "attention_mask"]}
    )
    torch.manual_seed(0)
    whole = SentenceTransformer(
        modules=[
            Transformer(str(inner)),
            Pooling(32, "mean"),
            Dense(32, 48),
            Dense(48, 16, bias=False, activation_function=torch.nn.Identity()),
            Normalize(),
        ],
        device="cpu",
    )
    whole.save_pretrained(str(tmp_path / "model"), safe_serialization=not pickled)
    found = run(tmp_path / "model", tmp_path / "out", reference)
    truth = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode(TEXTS)
    assert found.shape == (4, 16)
    np.testing.assert_allclose(found, truth, atol=1e-6, rtol=0)
