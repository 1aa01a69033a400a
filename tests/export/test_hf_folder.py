"""A checkpoint written as a Hugging Face folder is the same checkpoint when it is opened again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from checkpoint_folders import write_folder, write_json
from safetensors.numpy import load_file
from tiny_models import BERT, BODIES, KINDS, ROBERTA, XLM_ROBERTA, InMemoryWeights, tiny_weights
from tiny_tokenizers import write_tiny_bert_tokenizer, write_tiny_tokenizer

from e5_onnx.model_folder.manifest import Source
from e5_onnx_export.checkpoint import Checkpoint, open_checkpoint
from e5_onnx_export.errors import CheckpointError
from e5_onnx_export.recipe.special_tokens import special_tokens
from e5_onnx_export.standard import hf_folder
from e5_onnx_export.standard.hf_folder import write_hf_folder

WORDS = "embeddings.word_embeddings.weight"
TOKENS = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}


def without_folder(tmp_path, architecture, weights=None):
    source = Source("made-up", None, None, "0" * 64)
    tokenizer = write_tiny_tokenizer(tmp_path / "some.json").read_bytes()
    return Checkpoint(source, architecture, weights or tiny_weights(architecture), tokenizer, None)


def read(path):
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("architecture", BODIES, ids=lambda architecture: architecture.body)
def test_what_was_written_is_opened_as_the_same(tmp_path, monkeypatch, architecture):
    monkeypatch.setattr(hf_folder, "_CHUNK_VALUES", 1000)  # the word table in several pieces, one not full
    made = without_folder(tmp_path, architecture)
    write_hf_folder(made, tmp_path / "hf")
    found = open_checkpoint(str(tmp_path / "hf"))
    assert found.architecture == architecture
    assert found.tokenizer == made.tokenizer
    assert set(found.weights.names()) == set(made.weights.names())
    for name in made.weights.names():
        np.testing.assert_array_equal(found.weights.read(name), made.weights.read(name))


def test_the_library_itself_reads_the_weights(tmp_path):
    weights = tiny_weights(BERT)
    write_hf_folder(without_folder(tmp_path, BERT, weights), tmp_path / "hf", "fp16")
    found = load_file(tmp_path / "hf" / "model.safetensors")
    assert found.keys() == weights.tensors.keys()
    for name, values in weights.tensors.items():
        assert found[name].dtype == np.float16
        np.testing.assert_array_equal(found[name], values.astype(np.float16))


def test_a_value_too_large_for_fp16_is_refused(tmp_path):
    tensors = tiny_weights(BERT).tensors
    tensors[WORDS][7, 3] = 70_000
    checkpoint = without_folder(tmp_path, BERT, InMemoryWeights(tensors))
    with pytest.raises(CheckpointError, match=f"tensor '{WORDS}' has values too large for fp16"):
        write_hf_folder(checkpoint, tmp_path / "hf", "fp16")
    write_hf_folder(checkpoint, tmp_path / "hf")


def test_a_checkpoint_without_files_gets_all_that_transformers_needs(tmp_path):
    write_hf_folder(without_folder(tmp_path, BERT), tmp_path / "hf")
    config = read(tmp_path / "hf" / "tokenizer_config.json")
    assert config == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **TOKENS,
        "model_max_length": 32,
    }
    assert read(tmp_path / "hf" / "special_tokens_map.json") == TOKENS


def test_a_folders_own_words_are_kept_but_not_its_code(tmp_path):
    folder = write_folder(
        tmp_path / "own",
        ROBERTA,
        model_type="camembert",
        architectures=["CamembertForMaskedLM"],
        id2label={"0": "x"},
        auto_map={"AutoTokenizer": "code.Tokenizer"},
        torch_dtype="float16",
    )
    write_json(
        folder / "tokenizer_config.json",
        {
            "auto_map": {"AutoTokenizer": ["code.Tokenizer", None]},
            "tokenizer_class": "TokenizersBackend",
            "name_or_path": "/home/somebody",
            "mask_token": {"content": "<mask>", "lstrip": True},
            "model_max_length": 10**30,
        },
    )
    write_json(folder / "special_tokens_map.json", {"pad_token": "<pad>"})
    write_hf_folder(open_checkpoint(str(folder)), tmp_path / "hf")
    config = read(tmp_path / "hf" / "config.json")
    assert (config["model_type"], config["architectures"]) == ("camembert", ["CamembertModel"])
    assert (config["id2label"], config["pad_token_id"]) == ({"0": "x"}, 1)
    assert config.keys().isdisjoint({"auto_map", "torch_dtype"})
    tokenizer = read(tmp_path / "hf" / "tokenizer_config.json")
    assert tokenizer.keys().isdisjoint({"auto_map", "name_or_path"})
    # transformers 5 writes a name that transformers 4 does not know.
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert tokenizer["mask_token"] == {"content": "<mask>", "lstrip": True}
    assert tokenizer["model_max_length"] == 32
    assert read(tmp_path / "hf" / "special_tokens_map.json") == {"pad_token": "<pad>"}


def test_berts_own_pad_id_is_kept(tmp_path):
    folder = write_folder(tmp_path / "own", BERT, pad_token_id=1)
    write_hf_folder(open_checkpoint(str(folder)), tmp_path / "hf")
    assert read(tmp_path / "hf" / "config.json")["pad_token_id"] == 1


@pytest.mark.parametrize("architecture", BODIES, ids=lambda architecture: architecture.body)
def test_the_config_names_the_class(tmp_path, architecture):
    write_hf_folder(without_folder(tmp_path, architecture), tmp_path / "hf")
    assert read(tmp_path / "hf" / "config.json")["architectures"] == [KINDS[architecture.body].hf_class]


class TestSpecialTokens:
    def test_of_xlm_robertas_shape(self, tmp_path):
        assert special_tokens(write_tiny_tokenizer(tmp_path / "t.json").read_bytes()) == TOKENS

    def test_of_berts_shape(self, tmp_path):
        assert special_tokens(write_tiny_bert_tokenizer(tmp_path / "t.json").read_bytes()) == {
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "unk_token": "[UNK]",
            "pad_token": "[PAD]",
            "mask_token": "[MASK]",
        }

    @pytest.mark.parametrize(
        "processor",
        [
            {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]},
            {
                "type": "Sequence",
                "processors": [
                    {"type": "ByteLevel", "trim_offsets": True},
                    {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]},
                ],
            },
        ],
        ids=["alone", "in a sequence"],
    )
    def test_of_robertas_shape(self, tmp_path, processor):
        values = {"model": {"type": "BPE", "vocab": {}}, "added_tokens": [], "post_processor": processor}
        expected = {"cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>", "eos_token": "</s>"}
        # No token is there to pad with: the closing one is taken.
        assert special_tokens(json.dumps(values).encode()) == expected | {"pad_token": "</s>"}

    def test_of_a_tokenizer_that_adds_none(self, tmp_path):
        template = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}]}
        for processor in (None, template):
            values = {
                "model": {"type": "WordPiece", "vocab": {}, "unk_token": "?"},
                "post_processor": processor,
            }
            assert special_tokens(json.dumps(values).encode()) == {"unk_token": "?"}


def test_xlm_roberta_counts_positions_from_its_pad(tmp_path):
    write_hf_folder(without_folder(tmp_path, XLM_ROBERTA), tmp_path / "hf")
    assert read(tmp_path / "hf" / "config.json")["pad_token_id"] == 1
