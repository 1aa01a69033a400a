from __future__ import annotations

from dataclasses import replace

import pytest
from checkpoint_folders import write_config, write_folder, write_json
from tiny_models import BERT, XLM_ROBERTA, tiny_weights

from e5_onnx.model_folder.manifest import Source
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, WEB_SEARCH_TASK, Recipe
from e5_onnx_export.checkpoint import Checkpoint, open_checkpoint
from e5_onnx_export.errors import (
    RecipeError,
    UnknownPoolingError,
    UnknownRecipeError,
)
from e5_onnx_export.recipe.detection import detect
from e5_onnx_export.recipe.known_models import KNOWN_MODELS
from e5_onnx_export.recipe.request import RecipeRequest

NOTHING = RecipeRequest()
MEAN = {"word_embedding_dimension": 16, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
CLS = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def bare(name, architecture=XLM_ROBERTA, revision=None):
    """A checkpoint of a name, without files."""
    source = Source(name=name, revision=revision, license=None, weights_sha256="0" * 64)
    return Checkpoint(source, architecture, weights=tiny_weights(architecture), tokenizer=b"{}", folder=None)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "unheard-of", XLM_ROBERTA)


def modules(folder, *kinds, pooling=MEAN):
    types = [f"sentence_transformers.models.{kind}" for kind in kinds]
    paths = ["" if kind == "Transformer" else f"{index}_{kind}" for index, kind in enumerate(kinds)]
    rows = [
        {"idx": i, "name": str(i), "path": path, "type": kind}
        for i, (path, kind) in enumerate(zip(paths, types, strict=True))
    ]
    write_json(folder / "modules.json", rows)
    write_json(folder / "1_Pooling" / "config.json", pooling)


def detected(folder, request=NOTHING):
    return detect(open_checkpoint(str(folder)), request)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("intfloat/multilingual-e5-large-instruct", E5_INSTRUCT),
        ("intfloat/multilingual-e5-small", E5_PREFIX),
        ("intfloat/multilingual-e5-base", E5_PREFIX),
        ("intfloat/multilingual-e5-large", E5_PREFIX),
        ("intfloat/e5-small-v2", E5_PREFIX),
        ("intfloat/e5-base", E5_PREFIX),
        ("sentence-transformers/all-MiniLM-L6-v2", PLAIN),
    ],
)
def test_known_names(name, recipe):
    choice = detect(bare(name), NOTHING)
    assert (choice.recipe, choice.pooling, choice.notes) == (recipe, "mean", ())


def test_every_known_model_has_well_formed_templates():
    for known in KNOWN_MODELS.values():
        assert known.recipe.query_template.count("{text}") == 1
        assert known.recipe.document_template.count("{text}") == 1


@pytest.mark.parametrize(
    ("architecture", "positions", "tokens"),
    [(XLM_ROBERTA, 514, 512), (BERT, 512, 512), (XLM_ROBERTA, 34, 32)],
)
def test_e5_takes_all_positions_less_those_that_the_pad_id_eats(architecture, positions, tokens):
    shape = replace(architecture, positions=positions)
    assert detect(bare("intfloat/multilingual-e5-base", shape), NOTHING).max_tokens == tokens


@pytest.mark.parametrize(
    "name", ["someone/multilingual-e5-small", "intfloat/multilingual-e5-small-ft", "multilingual-e5-small"]
)
def test_a_name_that_is_only_like_a_known_one_is_unknown(name):
    with pytest.raises(UnknownRecipeError):
        detect(bare(name, revision="a" * 40), NOTHING)


def test_an_unknown_model_lists_the_choices(folder):
    with pytest.raises(UnknownRecipeError, match="unheard-of is not a known model") as caught:
        detected(folder)
    for choice in ("recipe='e5-instruct'", "recipe='e5-prefix'", "recipe='plain'", "`query_template`"):
        assert choice in str(caught.value)
    assert isinstance(caught.value, RecipeError)


def test_a_local_folder_is_known_by_its_own_name(tmp_path):
    folder = write_folder(tmp_path / "multilingual-e5-large-instruct", XLM_ROBERTA)
    choice = detected(folder)
    assert choice.recipe == E5_INSTRUCT
    assert choice.notes == (
        "taken for intfloat/multilingual-e5-large-instruct, because the folder has its name: "
        "if it is not, pass `recipe`",
    )


def test_a_local_folder_is_known_by_the_name_in_its_config(folder):
    write_config(folder, XLM_ROBERTA, _name_or_path="intfloat/multilingual-e5-base")
    choice = detected(folder)
    assert choice.recipe == E5_PREFIX
    assert "because config.json names it" in choice.notes[0]


def test_the_folders_own_name_comes_before_that_of_what_it_was_made_from(tmp_path):
    # multilingual-e5-large-instruct was trained on from a model with prefixes.
    name = "multilingual-e5-large-instruct"
    folder = write_folder(tmp_path / name, XLM_ROBERTA, _name_or_path="intfloat/multilingual-e5-large")
    assert detected(folder).recipe == E5_INSTRUCT


def test_a_guess_brings_its_pooling(tmp_path):
    assert detected(write_folder(tmp_path / "bge-small-en-v1.5", BERT)).pooling == "cls"


def test_a_length_of_all_positions_needs_no_note(tmp_path):
    folder = write_folder(tmp_path / "multilingual-e5-base", XLM_ROBERTA)
    most = XLM_ROBERTA.positions - XLM_ROBERTA.position_offset
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": most})
    choice = detected(folder)
    assert choice.max_tokens == most
    assert len(choice.notes) == 1, "of the guess by name only"


def test_a_model_on_the_hub_is_not_known_by_what_it_was_made_from(folder):
    write_config(folder, XLM_ROBERTA, _name_or_path="intfloat/multilingual-e5-base")
    checkpoint = open_checkpoint(str(folder))
    checkpoint = replace(checkpoint, source=replace(checkpoint.source, name="a/b", revision="c" * 40))
    with pytest.raises(UnknownRecipeError):
        detect(checkpoint, NOTHING)


def test_a_guess_by_name_has_no_say_beside_a_flag(tmp_path):
    folder = write_folder(tmp_path / "bge-small-en-v1.5", BERT)
    choice = detected(folder, RecipeRequest(recipe="plain", pooling="mean"))
    assert (choice.recipe, choice.pooling, choice.notes) == (PLAIN, "mean", ())


@pytest.mark.parametrize(
    ("name", "recipe"), [("e5-instruct", E5_INSTRUCT), ("e5-prefix", E5_PREFIX), ("plain", PLAIN)]
)
def test_a_recipe_by_flag(folder, name, recipe):
    modules(folder, "Transformer", "Pooling", "Normalize")
    assert detected(folder, RecipeRequest(recipe=name)).recipe == recipe


def test_plain_implies_no_pooling(folder):
    with pytest.raises(
        UnknownPoolingError, match=r"unheard-of has no modules.json .*: pooling='mean'\|'cls'"
    ):
        detected(folder, RecipeRequest(recipe="plain"))
    assert detected(folder, RecipeRequest(recipe="plain", pooling="cls")).pooling == "cls"


@pytest.mark.parametrize(
    ("request_", "recipe"),
    [
        (
            RecipeRequest(query_template="Q: {text}", document_template="D: {text}"),
            ("Q: {text}", "D: {text}"),
        ),
        (RecipeRequest(query_template="{task} ? {text}!"), ("{task} ? {text}!", "{text}", WEB_SEARCH_TASK)),
        (RecipeRequest(document_template="D: {text}"), ("{text}", "D: {text}")),
        (RecipeRequest(recipe="custom", query_template='{"q": "{text}"}'), ('{"q": "{text}"}', "{text}")),
    ],
)
def test_templates_by_flag(folder, request_, recipe):
    choice = detected(folder, replace(request_, pooling="mean"))
    assert choice.recipe == Recipe("custom", *recipe)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            RecipeRequest(query_template="query: "),
            "query_template='query: ' must contain {text} exactly once",
        ),
        (RecipeRequest(query_template="{text} {text}"), "must contain {text} exactly once"),
        (
            RecipeRequest(document_template="{task} {text}"),
            "document_template=.* contains {task}, which has no",
        ),
        (RecipeRequest(query_template="{txt} {text}"), "contains {txt}, which has no meaning there"),
        (RecipeRequest(query_template="{} {text}"), "contains {}, which has no meaning there"),
        (RecipeRequest(recipe="plain", query_template="{text}"), "recipe='plain' has its own templates"),
        (RecipeRequest(recipe="custom"), "recipe custom is made of `query_template` and `document_template`"),
    ],
)
def test_malformed_flags_are_refused(folder, request_, sentence):
    with pytest.raises(RecipeError, match=sentence):
        detected(folder, request_)


def test_a_recipe_by_flag_comes_before_that_of_a_known_name():
    assert detect(bare("intfloat/multilingual-e5-small"), RecipeRequest(recipe="plain")).recipe == PLAIN


def test_a_recipe_by_flag_leaves_the_pooling_to_a_known_name():
    assert detect(bare("BAAI/bge-m3"), RecipeRequest(recipe="e5-prefix")).pooling == "cls"


@pytest.mark.parametrize("recipe", ["e5-instruct", "e5-prefix"])
def test_e5_recipes_imply_mean_pooling(folder, recipe):
    assert detected(folder, RecipeRequest(recipe=recipe)).pooling == "mean"
