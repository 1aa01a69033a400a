"""Each kind of encoder, from transformers' own files to vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from checkpoint_folders import write_folder
from tiny_models import BODIES as SHAPES
from tiny_models import KINDS, tiny_weights
from tiny_tokenizers import write_tiny_tokenizer, write_tokenizer_config

from e5_onnx import Embedder
from e5_onnx_export import ExportRequest, RecipeRequest, export
from e5_onnx_export.checkpoint.bodies import BODIES

TEXTS = ["tea", "", "the moon and the sea " * 9, "Größe 7"]
RECIPE = RecipeRequest("e5-prefix")

over_shapes = pytest.mark.parametrize(
    "shape",
    # Heads of 8 channels, and positions for the texts that every export is tried with.
    [replace(shape, hidden=32, intermediate=64, positions=128 + shape.position_offset) for shape in SHAPES],
    ids=lambda shape: shape.body,
)


def run(source, out, reference, **options):
    export(ExportRequest(str(source), out, recipe=RECIPE, reference=reference, lean=False, **options))
    return Embedder(out)


def test_the_tests_know_every_kind():
    assert {shape.body for shape in SHAPES} == set(KINDS) == set(BODIES)


@over_shapes
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_each_kind_is_exported(tmp_path, shape, precision):
    source = write_folder(tmp_path / "model", shape)
    with run(source, tmp_path / "out", "numpy", precision=precision) as model:
        assert model.manifest.architecture == shape
        assert model.embed_documents(TEXTS).shape == (4, 32)


@pytest.mark.reference
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_transformers_calls_it_the_same(body):
    import transformers

    for model_type, name in body.classes.items():
        model = getattr(transformers, name)
        assert model.config_class.model_type == model_type
        assert f"{model.base_model_prefix}." == body.prefix


@pytest.mark.reference
@over_shapes
@pytest.mark.parametrize("head", ["Model", "ForMaskedLM"])
@pytest.mark.parametrize("reference", ["numpy", "torch"])
def test_what_transformers_saves_gives_its_vectors(tmp_path, shape, head, reference):
    import torch
    import transformers
    from tiny_models import config, stored

    kind = getattr(transformers, KINDS[shape.body].hf_class)
    values = {
        key: value for key, value in config(shape).items() if key not in ("architectures", "model_type")
    }
    whole = getattr(transformers, KINDS[shape.body].hf_class.replace("Model", head))
    saved = whole(kind.config_class(**values)).eval()
    # Spread weights: with those that a new model has every text would be much the same.
    weights = tiny_weights(shape)
    own = {stored(shape, name): torch.from_numpy(weights.read(name)) for name in weights.names()}
    assert not saved.base_model.load_state_dict(own, strict=False).unexpected_keys
    saved.save_pretrained(tmp_path / "model")
    write_tiny_tokenizer(tmp_path / "model" / "tokenizer.json")
    write_tokenizer_config(tmp_path / "model", model_max_length=128)
    with run(tmp_path / "model", tmp_path / "out", reference) as model:
        tokens = model.tokenize(TEXTS, role="document")
        found = model.embed_documents(TEXTS)
    truth = transformers.AutoModel.from_pretrained(tmp_path / "model").eval()
    for ids, vector in zip(tokens, found, strict=True):
        with torch.inference_mode():
            states = truth(torch.from_numpy(np.asarray(ids))[None]).last_hidden_state[0]
        expected = torch.nn.functional.normalize(states.mean(dim=0), dim=0).numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-6, rtol=0)
