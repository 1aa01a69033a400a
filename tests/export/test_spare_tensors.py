"""Tensors that are not the encoder's: left out by name, or refused with a remedy that works."""

from __future__ import annotations

import re

import numpy as np
import pytest
from checkpoint_folders import encoded, write_safetensors
from tiny_models import BERT, XLM_ROBERTA, config, tiny_weights

from e5_onnx_export.checkpoint.encoder_weights import select_encoder
from e5_onnx_export.checkpoint.weights import open_safetensors
from e5_onnx_export.errors import CheckpointError

QUERY = "encoder.layer.0.attention.self.query.weight"
GAIN = "encoder.layer.0.output.LayerNorm.gamma"
ZEROS = ("F32", np.zeros(2, np.float32))

over_prefixes = pytest.mark.parametrize("prefix", ["", "bert.", "model.encoder.0.auto_model."])


def stored(folder):
    found = open_safetensors(folder)
    assert found is not None
    return found


def opened(folder, tensors, architecture=BERT):
    write_safetensors(folder / "model.safetensors", tensors)
    return select_encoder(stored(folder), architecture)


def refusal(folder, tensors):
    with pytest.raises(CheckpointError) as caught:
        opened(folder, tensors)
    return str(caught.value)


def one(name, value=3.0):
    return {name: ("F32", np.full_like(tiny_weights(BERT).read(QUERY), value))}


def assert_untouched(read):
    weights = tiny_weights(BERT)
    assert set(read.names()) == set(weights.names())
    for name in weights.names():
        np.testing.assert_array_equal(read.read(name), weights.read(name), err_msg=name)


@over_prefixes
@pytest.mark.parametrize(
    "head",
    [
        "pooler.dense.weight",
        "cls.predictions.bias",
        "lm_head.layer_norm.weight",
        "classifier.weight",
        "classifier.out_proj.bias",
        "pre_classifier.weight",
        "qa_outputs.weight",
        "logit_scale",
        "log_temperature",
        "temp",
        "mlp.0.dense.weight",
        "linear.weight",
        "dense.bias",
        "vocab_projector.bias",
        "loss_fn.weight",
        "score.weight",
        "projection_head.2.weight",
        "discriminator_predictions.dense.weight",
        "fit_denses.4.weight",
    ],
)
def test_a_head_is_left_out_and_named(tmp_path, prefix, head):
    tensors = encoded(tiny_weights(BERT), prefix=prefix)
    for place in (head, prefix + head):
        read = opened(tmp_path, tensors | {place: ZEROS})
        assert_untouched(read)
        root = head.split(".")[0]
        assert read.left_out == (
            f"model.safetensors also holds {root}, which the encoder does not use: left out"
        )


def test_what_is_left_out_is_counted(tmp_path):
    spare = {
        "bert.pooler.dense.weight": ZEROS,
        "bert.embeddings.position_ids": ("I64", np.arange(32).reshape(1, 32)),
        "bert.pooler.dense.bias": ZEROS,
        "cls.predictions.bias": ZEROS,
    }
    read = opened(tmp_path, encoded(tiny_weights(BERT), prefix="bert.") | spare)
    assert_untouched(read)
    assert read.left_out == (
        "model.safetensors also holds pooler (2 tensors), embeddings.position_ids, cls, "
        "which the encoder does not use: left out"
    )


def test_a_bare_encoder_leaves_nothing_out(tmp_path):
    assert opened(tmp_path, encoded(tiny_weights(BERT))).left_out == ""


@pytest.mark.parametrize(
    ("prefix", "stray"),
    [
        ("bert.", QUERY),
        ("bert.", "encoder.layer.1.output.LayerNorm.weight"),
        ("bert.", GAIN),
        ("bert.", "teacher.bert." + QUERY),
        ("bert.", "cls." + QUERY),
        ("bert.", "embeddings.position_embeddings.weight"),
        ("", "bert." + QUERY),
        ("", "pooler." + QUERY),
        ("model.bert.", "bert." + QUERY),
        ("model.", "model.model." + QUERY),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_tensor_of_a_second_encoder_never_replaces_the_encoders(tmp_path, prefix, stray, first):
    own = encoded(tiny_weights(BERT), prefix=prefix)
    told = refusal(tmp_path, one(stray) | own if first else own | one(stray))
    assert f"holds tensor '{stray}' of a second encoder" in told
    assert f"'{prefix}embeddings.word_embeddings.weight'" in told


def test_two_encoders_are_refused(tmp_path):
    weights = tiny_weights(BERT)
    told = refusal(tmp_path, encoded(weights, prefix="query.") | encoded(weights, prefix="passage."))
    assert "holds 2 encoders, whose names begin with 'passage.' and 'query.'" in told


@pytest.mark.parametrize(
    ("prefix", "stray"),
    [("query.", encoded(tiny_weights(BERT, 1), prefix="passage.")), ("", one("a." + QUERY))],
)
def test_the_remedy_against_a_second_encoder_works(tmp_path, prefix, stray):
    tensors = encoded(tiny_weights(BERT), prefix=prefix) | stray
    remedy = re.findall(r"`(.+)`", refusal(tmp_path, tensors))[0]
    assert_untouched(opened(tmp_path, eval(remedy, {"tensors": tensors})))  # noqa: S307


@over_prefixes
@pytest.mark.parametrize(
    "name",
    [
        "encoder.layer.0.gate.weight",
        "encoder.layer.2.output.dense.weight",
        "encoder.norm.weight",
        "embeddings.projection.weight",
        "embeddings_project.weight",
        "other.encoder.layer.0.x",
        "conv.weight",
    ],
)
def test_a_tensor_that_is_neither_the_encoders_nor_a_heads_is_refused(tmp_path, prefix, name):
    own = encoded(tiny_weights(BERT), prefix=prefix)
    for place in {name, prefix + name}:
        told = refusal(tmp_path, own | {place: ZEROS})
        assert told.startswith(f"model.safetensors: holds tensor '{place}', which has no place")


def test_a_tensor_under_its_old_and_its_new_name_is_refused(tmp_path):
    told = refusal(tmp_path, encoded(tiny_weights(BERT)) | {GAIN: ("F32", np.ones(16, np.float32))})
    assert "'encoder.layer.0.output.LayerNorm.weight' and 'encoder.layer.0.output.LayerNorm.gamma'" in told
    assert "two names of one tensor" in told


@pytest.mark.parametrize(
    "name",
    [
        "encoder.layer.0.attention.self.query.lora_A.weight",
        "encoder.layer.0.attention.self.query.lora_A.default.weight",
        "base_model.model.encoder.layer.1.output.dense.lora_B.weight",
        "encoder.layer.0.attention.self.query.base_layer.weight",
        "encoder.layer.0.attention.self.query.ia3_l.default",
        "encoder.layer.0.attention.self.query.lora_magnitude_vector.default.weight",
        "encoder.layer.0.output.adapters.task.adapter_down.0.weight",
        "classifier.modules_to_save.default.weight",
    ],
)
def test_an_adapter_that_is_not_merged_is_named_as_one(tmp_path, name):
    told = refusal(tmp_path, encoded(tiny_weights(BERT)) | {name: ZEROS})
    assert f"holds tensor '{name}' of an adapter (LoRA or another) that is not merged" in told
    assert "merge_and_unload()" in told


def test_layers_wrapped_by_an_adapter_are_named_as_such(tmp_path):
    wrapped = {
        name.replace("query.", "query.base_layer."): tensor
        for name, tensor in encoded(tiny_weights(BERT)).items()
    }
    assert "of an adapter" in refusal(tmp_path, wrapped)


@pytest.mark.reference
@pytest.mark.parametrize("prefix", ["", "bert.", "model.", "a+b.model."])
def test_the_remedy_against_an_unknown_tensor_gives_what_transformers_takes(tmp_path, prefix):
    from transformers import AutoModel, BertConfig

    tensors = encoded(tiny_weights(BERT), prefix=prefix) | {prefix + "encoder.layer.0.gate.weight": ZEROS}
    remedy = re.findall(r"`(.+)`", refusal(tmp_path, tensors))[0]
    BertConfig(**config(BERT)).save_pretrained(tmp_path)
    eval(remedy, {"AutoModel": AutoModel, "FOLDER": tmp_path})  # noqa: S307
    assert_untouched(select_encoder(stored(tmp_path), BERT))


@pytest.mark.reference
def test_transformers_leaves_out_the_same_heads(tmp_path):
    import torch
    from reference_models import save_random_model
    from safetensors.torch import load_file, save_file
    from transformers import AutoModel

    model = save_random_model(tmp_path, XLM_ROBERTA)
    file = tmp_path / "model.safetensors"
    heads = {"classifier.weight": torch.ones(2, 16), "logit_scale": torch.ones(())}
    save_file(load_file(file) | heads, file, metadata={"format": "pt"})
    assert "classifier, logit_scale" in select_encoder(stored(tmp_path), XLM_ROBERTA).left_out
    ids = torch.arange(4, 12)[None]
    found = AutoModel.from_pretrained(tmp_path)(ids).last_hidden_state
    torch.testing.assert_close(found, model(ids).last_hidden_state)
