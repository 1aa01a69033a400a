"""Prompts of config_sentence_transformers.json, as encode_query and encode_document use them."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from checkpoint_folders import write_folder, write_json
from tiny_models import XLM_ROBERTA

from e5_onnx.cli.flags import in_flags, with_flags
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, WEB_SEARCH_TASK, Recipe
from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.cli.export import export_parser, request_of
from e5_onnx_export.cli.flags import FLAGS
from e5_onnx_export.errors import CheckpointError, RecipeError, UnknownRecipeError, UnsupportedModelError
from e5_onnx_export.recipe.detection import detect
from e5_onnx_export.recipe.request import RecipeRequest

NOTHING = RecipeRequest()
FILE = "config_sentence_transformers.json"
KINDS = ("Transformer", "Pooling", "Normalize")


@pytest.fixture
def folder(tmp_path):
    return sentence_model(tmp_path / "unheard-of")


def sentence_model(path, **pooling):
    folder = write_folder(path, XLM_ROBERTA)
    paths = ("", "1_Pooling", "2_Normalize")
    rows = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(zip(KINDS, paths, strict=True))
    ]
    write_json(folder / "modules.json", rows)
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 16, **pooling})
    return folder


def prompts(folder, values, default=None, **more):
    write_json(
        folder / FILE,
        {"prompts": values, "default_prompt_name": default, "similarity_fn_name": "cosine", **more},
    )


def detected(folder, request=NOTHING):
    return detect(open_checkpoint(str(folder)), request)


@pytest.mark.parametrize(
    ("values", "recipe"),
    [
        ({"query": "query: ", "document": "passage: "}, E5_PREFIX),
        ({"query": "Q "}, Recipe("custom", "Q {text}", "{text}")),
        ({"query": "", "document": "D "}, Recipe("custom", "{text}", "D {text}")),
        ({"query": None, "document": "D "}, Recipe("custom", "{text}", "D {text}")),
        # encode_document finds `document`, which sentence-transformers adds, before `passage` and `corpus`.
        ({"query": "query: ", "passage": "passage: "}, Recipe("custom", "query: {text}", "{text}")),
        ({"query": "Q ", "corpus": "P "}, Recipe("custom", "Q {text}", "{text}")),
        ({"query": "Q ", "document": "", "passage": "P "}, Recipe("custom", "Q {text}", "{text}")),
        ({"query": f"Instruct: {WEB_SEARCH_TASK}\nQuery: "}, E5_INSTRUCT),
        (
            {"query": "Instruct: Find {similar} code\nQuery: ", "document": ""},
            replace(E5_INSTRUCT, default_task="Find {similar} code"),
        ),
    ],
)
def test_prompts_of_the_checkpoint_are_used(folder, values, recipe):
    prompts(folder, values)
    choice = detected(folder)
    assert choice.recipe == recipe
    assert choice.by_prompts
    assert f"{FILE} says" in choice.notes[0]


@pytest.mark.parametrize(
    ("values", "default", "recipe"),
    [
        ({"query": "Represent this: "}, "query", Recipe("custom", "Represent this: {text}", "{text}")),
        ({"document": "D "}, "document", Recipe("custom", "{text}", "D {text}")),
        ({"retrieval": "find: ", "sts": "sim: "}, "retrieval", PLAIN),
        ({"any": "A ", "query": "Q "}, "any", Recipe("custom", "Q {text}", "{text}")),
        # Every model of sentence-transformers 5 has these two, empty where the file has none.
        ({}, "query", PLAIN),
    ],
)
def test_the_default_prompt_is_for_no_role(folder, values, default, recipe):
    prompts(folder, values, default)
    assert detected(folder).recipe == recipe


def test_prompts_that_no_role_takes_are_named_with_the_flag_that_writes_them(folder):
    prompts(folder, {"query": "query: ", "passage": "passage: "})
    note = detected(folder).notes[1]
    assert "encode_query and encode_document of sentence-transformers do not use them: passage" in note
    flags = in_flags(note, FLAGS).partition("pass ")[2]
    assert shlex.split(flags) == ["--document-template", "passage: {text}"]
    choice = detected(folder, RecipeRequest(document_template="passage: {text}"))
    assert (choice.recipe.query_template, choice.recipe.document_template) == (
        E5_PREFIX.query_template,
        E5_PREFIX.document_template,
    )
    assert choice.notes == ()


@pytest.mark.parametrize("values", [{}, {"query": "", "document": ""}, {"query": None}, None])
def test_prompts_that_say_nothing_decide_nothing(folder, values):
    prompts(folder, values)
    with pytest.raises(UnknownRecipeError):
        detected(folder)
    choice = detected(folder, RecipeRequest(recipe="plain"))
    assert (choice.recipe, choice.notes) == (PLAIN, ())


@pytest.mark.parametrize(
    ("name", "prompt", "flag"),
    [
        ("s2p_query", "Instruct: Given a web search query.\nQuery: ", "--query-template"),
        ("Retrieval-query", "task: search result | query: ", "--query-template"),
        ("search_query", "it's a query: ", "--query-template"),
        ("search_document", "search_document: ", "--document-template"),
        ("Retrieval-document", "title: none | text: ", "--document-template"),
        ("passage", "passage: ", "--document-template"),
        ("corpus", "corpus: ", "--document-template"),
        ("both", 'it\'s "$HOME" \\n: ', "--query-template"),
    ],
)
def test_prompts_under_other_names_are_shown_ready_to_copy(folder, name, prompt, flag):
    prompts(folder, {"query": "", name: prompt})
    with pytest.raises(UnknownRecipeError) as caught:
        detected(folder)
    shown = with_flags(caught.value, FLAGS).partition("  --recipe e5-instruct")[0]
    words = shlex.split(shown)
    place = words.index(flag)
    assert words[place + 1] == prompt + "{text}"
    parsed = export_parser().parse_args(["source", "out", *words[place : place + 2]])
    recipe = detected(folder, request_of(parsed).recipe).recipe
    assert words[place + 1] in (recipe.query_template, recipe.document_template)


def test_a_prompt_with_braces_is_not_shown_as_a_template(folder):
    prompts(folder, {"a": "see {text}: ", "b": "B "})
    with pytest.raises(UnknownRecipeError) as caught:
        detected(folder)
    assert "'B {text}'" in str(caught.value)
    assert "see {text}" not in str(caught.value)


def test_without_modules_the_prompts_are_not_read_but_shown(folder):
    (folder / "modules.json").unlink()
    prompts(folder, {"query": "Q: ", "document": "D: "}, "gone")
    with pytest.raises(UnknownRecipeError, match=r"query_template='Q: \{text\}'"):
        detected(folder)
    choice = detected(folder, RecipeRequest(recipe="plain", pooling="mean"))
    assert choice.recipe == PLAIN
    assert (
        "sentence-transformers does not read the file without modules.json: query, document"
        in choice.notes[0]
    )


@pytest.mark.parametrize(
    "request_",
    [RecipeRequest(recipe="plain"), RecipeRequest(query_template="Q: {text}"), RecipeRequest("e5-instruct")],
)
def test_prompts_in_conflict_with_a_flag_are_an_error(folder, request_):
    prompts(folder, {"query": "query: ", "document": "passage: "})
    with pytest.raises(RecipeError, match=f"the request asks for .* but {FILE} says e5-prefix"):
        detected(folder, request_)


@pytest.mark.parametrize("values", [{"query": "query: "}, {"query": "query: ", "passage": "passage: "}])
def test_a_flag_may_say_what_the_prompts_leave_open(folder, values):
    prompts(folder, values)
    choice = detected(folder, RecipeRequest(recipe="e5-prefix"))
    assert (choice.recipe, choice.notes) == (E5_PREFIX, ())
    assert not choice.by_prompts


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (RecipeRequest(recipe="e5-prefix"), "e5-prefix"),
        (RecipeRequest(query_template="query: {text}", document_template="passage: {text}"), "custom"),
        (RecipeRequest(query_template="query: {text}"), "custom"),
    ],
)
def test_a_flag_may_say_what_the_prompts_say(folder, request_, name):
    prompts(folder, {"query": "query: ", "document": "passage: "})
    assert detected(folder, request_).recipe == replace(E5_PREFIX, name=name)


def test_a_flag_leaves_the_default_task_to_the_prompts(folder):
    prompts(folder, {"query": "Instruct: Find code\nQuery: "})
    choice = detected(folder, RecipeRequest(recipe="e5-instruct"))
    assert choice.recipe == replace(E5_INSTRUCT, default_task="Find code")
    choice = detected(folder, RecipeRequest(document_template="D: {text}"))
    assert choice.recipe == Recipe("custom", E5_INSTRUCT.query_template, "D: {text}", "Find code")


def test_a_known_name_leaves_the_default_task_to_the_prompts(folder):
    prompts(folder, {"query": "Instruct: Find code\nQuery: "})
    checkpoint = open_checkpoint(str(folder))
    source = replace(checkpoint.source, name="intfloat/multilingual-e5-large-instruct")
    choice = detect(replace(checkpoint, source=source), NOTHING)
    assert choice.recipe == replace(E5_INSTRUCT, default_task="Find code")
    assert not choice.by_prompts


def test_prompts_come_before_a_guess_by_the_folders_name(tmp_path):
    folder = sentence_model(tmp_path / "multilingual-e5-base", pooling_mode="cls")
    prompts(folder, {"query": "query: ", "passage": "passage: "})
    choice = detected(folder)
    assert choice.recipe == Recipe("custom", "query: {text}", "{text}")
    assert choice.pooling == "cls"


def test_a_model_known_by_its_full_name_comes_before_prompts_that_agree(folder):
    prompts(folder, {"query": "query: "})
    checkpoint = open_checkpoint(str(folder))
    named = replace(checkpoint, source=replace(checkpoint.source, name="intfloat/multilingual-e5-base"))
    assert detect(named, NOTHING).recipe == E5_PREFIX
    prompts(folder, {"query": "other: "})
    assert detect(named, NOTHING).recipe == Recipe("custom", "other: {text}", "{text}")


@pytest.mark.parametrize(
    ("values", "error", "sentence"),
    [
        ({"query": "{text} "}, RecipeError, "prompt 'query' contains a placeholder"),
        ({"query": "{task}: "}, RecipeError, "prompt 'query' contains a placeholder"),
        ({"query": 7}, CheckpointError, "prompts is {'query': 7}, not an object of texts"),
        (["query"], CheckpointError, r"prompts is \['query'\]"),
    ],
)
def test_malformed_prompts_are_refused(folder, values, error, sentence):
    prompts(folder, values)
    with pytest.raises(error, match=sentence):
        detected(folder)


@pytest.mark.parametrize(
    ("more", "error", "sentence"),
    [
        (
            {"default": "gone"},
            CheckpointError,
            "default_prompt_name is 'gone', which is not among its prompts",
        ),
        ({"model_type": "SparseEncoder"}, UnsupportedModelError, "it is a SparseEncoder"),
        ({"truncate_dim": 8}, UnsupportedModelError, r"cuts its vectors to 8 numbers \(truncate_dim\)"),
    ],
)
def test_what_the_file_asks_for_beyond_prompts_is_refused(folder, more, error, sentence):
    prompts(folder, {"query": "Q "}, **more)
    with pytest.raises(error, match=sentence):
        detected(folder)


def test_the_prompts_tokens_count_in_the_pooling(tmp_path):
    folder = sentence_model(tmp_path / "m", include_prompt=False)
    prompts(folder, {"query": "", "document": "", "search_query": "Q "})
    # Without a prompt there is nothing to leave out.
    assert detected(folder, RecipeRequest(recipe="plain")).recipe == PLAIN
    with pytest.raises(UnsupportedModelError, match=r"leaves the prompt's tokens out .*include_prompt"):
        detected(folder, RecipeRequest(query_template="Q {text}"))
