"""The longest text, by sentence-transformers' rule."""

from __future__ import annotations

import pytest
from checkpoint_folders import write_folder, write_json
from tiny_models import BERT, XLM_ROBERTA
from tiny_tokenizers import write_tokenizer_config

from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.checkpoint.transformer_file import TRANSFORMER_FILE_NAMES
from e5_onnx_export.errors import CheckpointError
from e5_onnx_export.recipe.detection import detect
from e5_onnx_export.recipe.request import RecipeRequest

NAME = "sentence_bert_config.json"
# The model's own: 34 rows of positions, of which two are not for tokens.
MOST = 32


@pytest.fixture
def folder(tmp_path):
    folder = write_folder(tmp_path / "unheard-of", XLM_ROBERTA)
    rows = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate(
            (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2"))
        )
    ]
    write_json(folder / "modules.json", rows)
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 16})
    return folder


def length(folder, recipe="plain", pooling=None):
    return detect(open_checkpoint(str(folder)), RecipeRequest(recipe, pooling=pooling)).max_tokens


@pytest.mark.parametrize(
    ("values", "tokenizer", "expected"),
    [
        ({"max_seq_length": 16, "do_lower_case": False}, {}, 16),
        ({"max_seq_length": 16.0}, {}, 16),
        ({"max_seq_length": MOST}, {}, MOST),
        ({"max_seq_length": 16}, {"model_max_length": 8}, 16),
        ({"max_seq_length": None}, {"model_max_length": 8}, 8),
        ({"max_seq_length": None}, {}, MOST),
        # What sentence-transformers 5.4 and later write.
        (
            {
                "transformer_task": "feature-extraction",
                "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
                "module_output_name": "token_embeddings",
            },
            {"model_max_length": 12},
            12,
        ),
        ({"tokenizer_args": {"model_max_length": 9}}, {"model_max_length": 12}, 9),
        ({"processor_kwargs": {"model_max_length": 9}}, {"model_max_length": 12}, 9),
        ({"max_seq_length": 16, "processor_kwargs": {"model_max_length": 9}}, {}, 9),
        ({"processor_kwargs": {"model_max_length": 5}, "tokenizer_args": {"model_max_length": 9}}, {}, 9),
        ({"processor_kwargs": {"model_max_length": 5}, "tokenizer_args": {}}, {}, MOST),
        ({"tokenizer_args": None, "max_seq_length": 7}, {}, 7),
        ({}, {"model_max_length": 10}, 10),
        ({}, {"model_max_length": 512}, MOST),
        ({}, {"model_max_length": 1000000000000000019884624838656}, MOST),
        ({}, {"model_max_length": 1e30}, MOST),
        ({}, {"model_max_length": None}, MOST),
        ({}, {"max_len": 11}, 11),
        ({}, {"max_len": 11, "model_max_length": 12}, 12),
    ],
)
def test_the_length_is_the_first_that_is_said(folder, values, tokenizer, expected):
    write_json(folder / NAME, values)
    write_tokenizer_config(folder, **tokenizer)
    assert length(folder) == expected


@pytest.mark.parametrize("name", TRANSFORMER_FILE_NAMES)
def test_the_file_has_many_names(folder, name):
    write_json(folder / name, {"max_seq_length": 16})
    assert length(folder) == 16


def test_the_first_name_that_says_something_is_the_one(folder):
    write_json(folder / "sentence_bert_config.json", {})
    write_json(folder / "sentence_xlm-roberta_config.json", {"max_seq_length": 20})
    write_json(folder / "sentence_xlnet_config.json", {"max_seq_length": 10})
    assert length(folder) == 20


@pytest.mark.parametrize("recipe", ["e5-prefix", "e5-instruct", "plain"])
def test_a_recipe_does_not_change_the_length(folder, recipe):
    write_json(folder / NAME, {"max_seq_length": 16})
    assert length(folder, recipe) == 16


def test_a_length_beyond_the_models_positions_is_noted(folder):
    write_json(folder / "sentence_xlm-roberta_config.json", {"max_seq_length": 34})
    choice = detect(open_checkpoint(str(folder)), RecipeRequest(recipe="plain"))
    assert choice.max_tokens == MOST
    assert choice.notes == (
        "sentence_xlm-roberta_config.json says 34 tokens; the model has positions for 32",
    )


def test_without_modules_sentence_transformers_does_not_read_the_file(tmp_path):
    folder = write_folder(tmp_path / "m", BERT)
    write_json(folder / NAME, {"max_seq_length": 16, "do_lower_case": True, "module_output_name": "x"})
    write_tokenizer_config(folder, model_max_length=20)
    assert length(folder, pooling="mean") == 20


@pytest.mark.parametrize("value", [0, -1, 5.5, "512", True, [512]])
@pytest.mark.parametrize("place", [NAME, "tokenizer_config.json"])
def test_a_malformed_length_is_refused(folder, place, value):
    if place == NAME:
        write_json(folder / NAME, {"max_seq_length": value})
    else:
        write_tokenizer_config(folder, model_max_length=value)
    with pytest.raises(
        CheckpointError, match=rf"{place}: (max_seq_length|model_max_length) is .* not a positive"
    ):
        length(folder)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"transformer_task": "fill-mask"}, "transformer_task is 'fill-mask', which the graph does not do"),
        ({"module_output_name": "sentence_embedding"}, "module_output_name is"),
        ({"modality_config": {"message": {"method": "forward"}}}, "modality_config is"),
        ({"processing_kwargs": {"text": {"max_length": 8}}}, "processing_kwargs is"),
        ({"query_length": 8}, "query_length is 8"),
        ({"tokenizer_name_or_path": "other/tokenizer"}, "tokenizer_name_or_path is"),
        ({"unheard_of": 1}, "unheard_of is 1"),
        ({"tokenizer_args": 7}, "tokenizer_args is 7, not an object"),
        (
            {"tokenizer_args": {"use_fast": False}},
            "tokenizer_args sets use_fast to False, which makes another",
        ),
        ({"processor_kwargs": {"subfolder": "tok"}}, "processor_kwargs sets subfolder to 'tok'"),
        ({"model_args": {"num_hidden_layers": 1}}, "model_args sets num_hidden_layers to 1"),
        ({"config_kwargs": {"hidden_act": "relu"}}, "config_kwargs sets hidden_act to 'relu'"),
        ({"model_kwargs": {"torch_dtype": "float16"}}, "model_kwargs asks for numbers in 'float16'"),
        ({"model_kwargs": 7}, "model_kwargs is 7, not an object"),
    ],
)
def test_options_that_change_the_vectors_are_refused(folder, values, sentence):
    write_json(folder / NAME, values)
    with pytest.raises(CheckpointError, match=f"{NAME}: {sentence}"):
        length(folder)


def test_a_number_format_taken_from_a_config_of_half_precision_is_refused(tmp_path, folder):
    write_json(folder / NAME, {"model_args": {"torch_dtype": "auto"}})
    assert length(folder) == MOST
    half = write_folder(tmp_path / "half", XLM_ROBERTA, torch_dtype="float16")
    for file in ("modules.json", "1_Pooling/config.json", NAME):
        (half / file).parent.mkdir(exist_ok=True)
        (half / file).write_bytes((folder / file).read_bytes())
    with pytest.raises(
        CheckpointError, match="asks for numbers in 'auto', and the graph computes in float32"
    ):
        length(half)


@pytest.mark.parametrize(
    "values",
    [
        {"model_args": {"attn_implementation": "sdpa", "trust_remote_code": True}},
        {"model_kwargs": {"dtype": "float32"}, "config_args": {}},
        {"unpad_inputs": False, "processing_kwargs": {}, "query_length": None},
    ],
)
def test_options_that_change_nothing_are_let_pass(folder, values):
    write_json(folder / NAME, values)
    assert length(folder) == MOST
