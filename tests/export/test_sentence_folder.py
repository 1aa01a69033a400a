"""sentence-transformers' files, written for other tools, say to ours what they were written from."""

from __future__ import annotations

import json

import pytest
from checkpoint_folders import write_folder
from tiny_models import BERT

from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, Recipe
from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.recipe.detection import EncodingChoice, detect
from e5_onnx_export.recipe.request import RecipeRequest
from e5_onnx_export.standard.sentence_folder import sentence_prompts, write_sentence_files


@pytest.mark.parametrize("recipe", [E5_INSTRUCT, E5_PREFIX, Recipe("custom", "Q {text}", "{text}")])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_choice_can_be_read_back(tmp_path, recipe, pooling):
    folder = write_folder(tmp_path / "unheard-of", BERT)
    choice = EncodingChoice(recipe, pooling, 20)
    write_sentence_files(choice, BERT.hidden, folder)
    found = detect(open_checkpoint(str(folder)), RecipeRequest())
    assert (found.recipe, found.pooling, found.max_tokens) == (recipe, pooling, 20)
    assert not any("Normalize" in note for note in found.notes)


def test_the_files_are_those_that_the_library_writes(tmp_path):
    write_sentence_files(EncodingChoice(E5_PREFIX, "mean", 32), 16, tmp_path)
    read = {
        file.relative_to(tmp_path).as_posix(): json.loads(file.read_text("utf-8"))
        for file in tmp_path.rglob("*.json")
    }
    assert read == {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": 16,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "document": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    }


@pytest.mark.parametrize(
    ("recipe", "prompts"),
    [
        (PLAIN, {"query": "", "document": ""}),
        (Recipe("custom", "{task}: {text}", "{text}"), {"document": ""}),
        (Recipe("custom", "{text}?", "doc {text}"), {"document": "doc "}),
        (Recipe("custom", "{text}?", "{text}."), {}),
    ],
    ids=["plain", "a task without a default", "words after the query", "words after both"],
)
def test_what_prompts_cannot_say_is_left_out(recipe, prompts):
    assert sentence_prompts(recipe) == prompts
