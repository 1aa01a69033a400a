"""Pooling, normalisation and length, as sentence-transformers' files say them."""

from __future__ import annotations

import pytest
from checkpoint_folders import write_config, write_folder, write_json
from tiny_models import BERT, XLM_ROBERTA
from tiny_tokenizers import write_tiny_bert_tokenizer

from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.errors import CheckpointError, RecipeError, UnsupportedModelError
from e5_onnx_export.recipe_detection import RecipeRequest, detect

PLAIN = RecipeRequest(recipe="plain")
MEAN = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
LIBRARY = "sentence_transformers.models."


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "unheard-of", XLM_ROBERTA)


def write_modules(folder, *types, pooling=MEAN, paths=None):
    paths = paths or ["", "1_Pooling", "2_Other", "3_Other"]
    write_json(
        folder / "modules.json",
        [{"idx": i, "name": str(i), "path": paths[i], "type": kind} for i, kind in enumerate(types)],
    )
    write_json(folder / "1_Pooling" / "config.json", pooling)


def write_usual(folder, pooling=MEAN):
    write_modules(
        folder, f"{LIBRARY}Transformer", f"{LIBRARY}Pooling", f"{LIBRARY}Normalize", pooling=pooling
    )


def detected(folder, request=PLAIN):
    return detect(open_checkpoint(str(folder)), request)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (MEAN, "mean"),
        (CLS, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode": "cls", "include_prompt": True}, "cls"),
        (MEAN | {"pooling_mode_max_tokens": False, "pooling_mode_lasttoken": False}, "mean"),
    ],
)
def test_the_pooling_is_that_of_the_pooling_module(folder, pooling, expected):
    write_usual(folder, pooling)
    choice = detected(folder)
    assert (choice.pooling, choice.notes) == (expected, ())


@pytest.mark.parametrize(
    ("pooling", "sentence"),
    [
        (
            {"pooling_mode_max_tokens": True},
            "it pools by pooling_mode_max_tokens, where only mean or CLS alone",
        ),
        (
            MEAN | {"pooling_mode_cls_token": True},
            "by pooling_mode_cls_token and pooling_mode_mean_tokens, where",
        ),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "it pools by pooling_mode_mean_sqrt_len_tokens"),
        ({"pooling_mode_lasttoken": True}, "it pools by pooling_mode_lasttoken"),
        ({"pooling_mode": "lasttoken"}, "it pools by lasttoken"),
        ({"pooling_mode": ["mean", "max"]}, "it pools by max and mean"),
        ({}, "it pools by nothing"),
        (MEAN | {"include_prompt": False}, "leaves the prompt's tokens out of the pooling"),
    ],
)
def test_other_poolings_are_refused(folder, pooling, sentence):
    write_usual(folder, pooling)
    with pytest.raises(UnsupportedModelError, match=f"unheard-of: .*{sentence}"):
        detected(folder)


def test_a_missing_normalize_module_is_noted(folder):
    write_modules(folder, f"{LIBRARY}Transformer", f"{LIBRARY}Pooling")
    assert detected(folder).notes == (
        "modules.json has no Normalize module; vectors are normalised all the same",
    )


def test_newer_paths_of_the_same_modules_are_understood(folder):
    library = "sentence_transformers.base.modules."
    write_modules(
        folder, f"{library}transformer.Transformer", f"{library}pooling.Pooling", f"{library}n.Normalize"
    )
    assert detected(folder).pooling == "mean"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (f"{LIBRARY}Dense", "modules.json has a module of kind Dense, and the graph has no such part"),
        (f"{LIBRARY}WeightedLayerPooling", "has a module of kind WeightedLayerPooling"),
        (
            "own_code.Transformer",
            "its module 'own_code.Transformer' is code of its own, and remote code is never run",
        ),
    ],
)
def test_other_modules_are_refused(folder, kind, sentence):
    write_modules(folder, f"{LIBRARY}Transformer", f"{LIBRARY}Pooling", kind)
    with pytest.raises(UnsupportedModelError, match=sentence):
        detected(folder)


def test_a_dense_module_is_refused_under_e5_recipes_too(folder):
    write_modules(folder, f"{LIBRARY}Transformer", f"{LIBRARY}Pooling", f"{LIBRARY}Dense")
    with pytest.raises(UnsupportedModelError, match="Dense"):
        detected(folder, RecipeRequest(recipe="e5-prefix"))


@pytest.mark.parametrize("path", ["../1_Pooling", "/1_Pooling", "..", ".", "", "a/b"])
def test_a_pooling_folder_elsewhere_is_refused(folder, path):
    write_modules(folder, f"{LIBRARY}Transformer", f"{LIBRARY}Pooling", paths=["", path])
    with pytest.raises(
        CheckpointError, match=r"modules.json: names the folder .* which is not one beside it"
    ):
        detected(folder)


def test_a_pooling_folder_without_a_config_is_refused(folder):
    write_usual(folder)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config.json: is missing from .*1_Pooling"):
        detected(folder)


@pytest.mark.parametrize("content", [{}, ["Transformer"], [{"type": 7, "path": ""}], [{"type": "x"}]])
def test_a_malformed_list_of_modules_is_refused(folder, content):
    write_json(folder / "modules.json", content)
    with pytest.raises(CheckpointError, match=r"modules.json: holds .* not a list of modules"):
        detected(folder)


@pytest.mark.parametrize(
    ("request_", "pooling", "sentence"),
    [
        (RecipeRequest(recipe="plain", pooling="cls"), MEAN, "modules.json says mean, --pooling says cls"),
        (RecipeRequest(recipe="e5-prefix"), CLS, "recipe e5-prefix says mean, modules.json says cls"),
        (
            RecipeRequest(recipe="e5-prefix", pooling="cls"),
            MEAN,
            "recipe e5-prefix says mean, .*--pooling says cls",
        ),
    ],
)
def test_poolings_in_dispute_are_an_error(folder, request_, pooling, sentence):
    write_usual(folder, pooling)
    with pytest.raises(RecipeError, match=f"unheard-of: the pooling is in dispute: {sentence}"):
        detected(folder, request_)


def test_e5_prompts_imply_mean_pooling_where_nothing_else_is_said(folder):
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "query: ", "document": "passage: "}},
    )
    assert detected(folder, RecipeRequest()).pooling == "mean"


def test_e5_like_prompts_of_another_family_do_not_change_its_pooling(folder):
    write_usual(folder, CLS)
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": {"query": "query: ", "document": "passage: "}},
    )
    choice = detected(folder, RecipeRequest())
    assert (choice.recipe.name, choice.pooling) == ("e5-prefix", "cls")


@pytest.mark.parametrize(
    ("length", "tokens", "note"),
    [
        (16, 16, None),
        (32, 32, None),
        (None, 32, None),
        (512, 32, "sentence_bert_config.json says 512 tokens; the model has positions for 32"),
    ],
)
def test_the_length_is_that_of_the_file_if_the_model_has_the_positions(folder, length, tokens, note):
    write_usual(folder)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    choice = detected(folder)
    assert choice.max_tokens == tokens
    assert choice.notes == (() if note is None else (note,))


def test_without_a_length_the_model_takes_what_it_has_positions_for(folder):
    write_usual(folder)
    assert detected(folder).max_tokens == 32


def test_e5_recipes_take_the_models_whole_length_and_say_so(folder):
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 16})
    choice = detected(folder, RecipeRequest(recipe="e5-prefix"))
    assert choice.max_tokens == 32
    assert choice.notes == ("sentence_bert_config.json says 16 tokens; recipe e5-prefix takes 32",)


@pytest.mark.parametrize("length", [0, -1, 5.5, "512", True])
def test_a_malformed_length_is_refused(folder, length):
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length})
    with pytest.raises(CheckpointError, match=r"sentence_bert_config.json: max_seq_length is"):
        detected(folder)


def test_lower_casing_that_the_tokenizer_does_not_do_is_refused(folder):
    write_json(folder / "sentence_bert_config.json", {"do_lower_case": True})
    with pytest.raises(UnsupportedModelError, match="asks for lower-cased text"):
        detected(folder)


def test_lower_casing_that_the_tokenizer_does_anyway_is_let_pass(tmp_path):
    folder = write_folder(tmp_path / "m", BERT)
    write_tiny_bert_tokenizer(folder / "tokenizer.json")
    write_usual(folder)
    write_json(folder / "sentence_bert_config.json", {"do_lower_case": True, "max_seq_length": 20})
    assert detected(folder).max_tokens == 20


def test_the_files_of_a_folder_are_not_looked_for_elsewhere(folder):
    # A config that cannot be read any more is said to be so, not passed over.
    checkpoint = open_checkpoint(str(folder))
    write_config(folder, XLM_ROBERTA)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config.json: is not JSON"):
        detect(checkpoint, RecipeRequest(recipe="e5-prefix"))
