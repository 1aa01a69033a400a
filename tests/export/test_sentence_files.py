"""Modules and pooling, as sentence-transformers' files say them."""

from __future__ import annotations

import pytest
from checkpoint_folders import write_config, write_folder, write_json
from tiny_models import XLM_ROBERTA

from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.errors import CheckpointError, RecipeError, UnsupportedModelError
from e5_onnx_export.recipe.detection import detect
from e5_onnx_export.recipe.request import RecipeRequest

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
        # sentence-transformers' default.
        ({"word_embedding_dimension": 16}, "mean"),
        ({"word_embedding_dimension": 16, "pooling_mode_cls_token": False}, "mean"),
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
            "it pools by pooling_mode_max_tokens, and the graph pools by mean or CLS alone",
        ),
        (
            MEAN | {"pooling_mode_cls_token": True},
            "by pooling_mode_cls_token and pooling_mode_mean_tokens, and",
        ),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "it pools by pooling_mode_mean_sqrt_len_tokens"),
        ({"pooling_mode_lasttoken": True}, "it pools by pooling_mode_lasttoken"),
        ({"pooling_mode": "lasttoken"}, "it pools by lasttoken"),
        ({"pooling_mode": ["mean", "max"]}, "it pools by max and mean"),
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


def test_a_dropout_module_does_nothing(folder):
    write_modules(folder, *(LIBRARY + kind for kind in ("Transformer", "Pooling", "Dropout", "Normalize")))
    assert detected(folder).notes == ()


@pytest.mark.parametrize(
    "kinds",
    [("Transformer", "Normalize", "Pooling"), ("Transformer",), ("Normalize",)],
)
def test_modules_in_another_order_are_refused(folder, kinds):
    write_modules(folder, *(LIBRARY + kind for kind in kinds), paths=["", "1_Pooling", "1_Pooling"])
    with pytest.raises(UnsupportedModelError, match=r"modules.json has the modules .* where the graph is a"):
        detected(folder)


@pytest.mark.parametrize("name", ["sentence_embedding", "token_embeddings"])
def test_a_normalize_module_of_something_else_is_refused(folder, name):
    write_usual(folder)
    write_json(folder / "2_Other" / "config.json", {"module_input_name": name, "module_output_name": name})
    if name == "sentence_embedding":
        assert detected(folder).notes == ()
        return
    with pytest.raises(UnsupportedModelError, match="its Normalize module works on token_embeddings"):
        detected(folder)


def test_a_flag_in_conflict_with_the_pooling_is_an_error(folder):
    write_usual(folder, MEAN)
    with pytest.raises(
        RecipeError, match=r"unheard-of: pooling='cls' is asked for, but modules.json says mean"
    ):
        detected(folder, RecipeRequest(recipe="e5-prefix", pooling="cls"))
    assert detected(folder, RecipeRequest(recipe="plain", pooling="mean")).pooling == "mean"


def test_a_recipe_does_not_change_the_pooling_that_the_files_say(folder):
    write_usual(folder, CLS)
    assert detected(folder, RecipeRequest(recipe="e5-prefix")).pooling == "cls"


def test_the_files_of_a_folder_are_not_looked_for_elsewhere(folder):
    # A config that cannot be read any more is said to be so, not passed over.
    checkpoint = open_checkpoint(str(folder))
    write_config(folder, XLM_ROBERTA)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config.json: is not JSON"):
        detect(checkpoint, RecipeRequest(recipe="e5-prefix"))
