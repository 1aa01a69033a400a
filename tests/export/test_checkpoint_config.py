from __future__ import annotations

import pytest
from tiny_models import BERT, BODIES, ROBERTA, XLM_ROBERTA, config

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.checkpoint.config import read_architecture
from e5_onnx_export.errors import CheckpointError, UnsupportedModelError

# As published, less the keys that decide nothing.
LARGE_INSTRUCT = {
    "architectures": ["XLMRobertaModel"],
    "attention_probs_dropout_prob": 0.1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "export_model_type": "transformer",
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 514,
    "model_type": "xlm-roberta",
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "output_past": True,
    "pad_token_id": 1,
    "position_embedding_type": "absolute",
    "torch_dtype": "float16",
    "type_vocab_size": 1,
    "use_cache": True,
    "vocab_size": 250002,
}
E5_SMALL = {
    "architectures": ["BertModel"],
    "hidden_act": "gelu",
    "hidden_size": 384,
    "intermediate_size": 1536,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "tokenizer_class": "XLMRobertaTokenizer",
    "type_vocab_size": 2,
    "vocab_size": 250037,
}


def test_multilingual_e5_large_instruct():
    assert read_architecture(LARGE_INSTRUCT, "m") == Architecture(
        body="xlm-roberta",
        layers=24,
        hidden=1024,
        heads=16,
        intermediate=4096,
        vocabulary=250002,
        positions=514,
        position_offset=2,
        layer_norm_eps=1e-5,
    )


def test_multilingual_e5_small_has_a_bert_body_under_an_xlm_r_tokenizer():
    read = read_architecture(E5_SMALL, "m")
    assert (read.body, read.positions, read.position_offset) == ("bert", 512, 0)


@pytest.mark.parametrize("architecture", BODIES, ids=lambda row: row.body)
def test_a_config_comes_back_as_the_architecture_it_was_written_from(architecture):
    assert read_architecture(config(architecture), "m") == architecture


def test_camembert_is_a_roberta():
    assert read_architecture(config(ROBERTA) | {"model_type": "camembert"}, "m") == ROBERTA


@pytest.mark.parametrize(("pad", "offset"), [(0, 1), (1, 2), (5, 6), (None, 2)])
def test_roberta_positions_begin_after_the_pad_id(pad, offset):
    assert read_architecture(config(XLM_ROBERTA) | {"pad_token_id": pad}, "m").position_offset == offset


@pytest.mark.parametrize("pad", [0, 1, None])
def test_bert_positions_begin_at_zero_whatever_the_pad_id(pad):
    assert read_architecture(config(BERT) | {"pad_token_id": pad}, "m").position_offset == 0


def test_keys_with_a_default_may_be_left_out():
    optional = ("architectures", "hidden_act", "layer_norm_eps", "pad_token_id", "position_embedding_type")
    short = {key: value for key, value in config(BERT).items() if key not in optional}
    assert read_architecture(short, "m") == BERT


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "deberta-v2"}, r"of type 'deberta-v2' \(relative positions\)"),
        ({"model_type": "mpnet"}, r"of type 'mpnet' \(relative positions\)"),
        ({"model_type": "modernbert"}, r"of type 'modernbert' \(rotary positions and a gated FFN\)"),
        ({"model_type": "nomic_bert"}, r"of type 'nomic_bert' \(rotary positions and a gated FFN\)"),
        ({"model_type": "xlm-roberta-xl"}, r"of type 'xlm-roberta-xl' \(normalisation before each block\)"),
        ({"model_type": "qwen2"}, r"of type 'qwen2' \(a decoder\)"),
        ({"model_type": "never-heard-of"}, r"of type 'never-heard-of';"),
        ({"is_decoder": True}, "it is a decoder"),
        ({"architectures": ["BertLMHeadModel"]}, r"it is a decoder \(BertLMHeadModel\)"),
        ({"architectures": ["XLMRobertaForCausalLM"]}, r"it is a decoder \(XLMRobertaForCausalLM\)"),
        (
            {"architectures": ["BertForSequenceClassification"]},
            "a BertForSequenceClassification, not an encoder",
        ),
        ({"is_encoder_decoder": True}, "it is an encoder-decoder"),
        ({"add_cross_attention": True}, "a decoder's cross-attention"),
        ({"position_embedding_type": "alibi"}, "its positions are 'alibi', not absolute"),
        ({"position_embedding_type": "rotary"}, "its positions are 'rotary', not absolute"),
        (
            {"position_embedding_type": "relative_key_query"},
            "its positions are 'relative_key_query', not absolute",
        ),
        ({"alibi_starting_size": 512}, "its positions are ALiBi"),
        ({"rope_theta": 10000.0}, "its positions are rotary"),
        ({"feed_forward_type": "geglu"}, "its FFN is gated"),
        ({"hidden_act": "gelu_new"}, "its activation is 'gelu_new', not the exact GELU"),
        ({"hidden_act": "gelu_pytorch_tanh"}, "its activation is 'gelu_pytorch_tanh'"),
        ({"hidden_act": "relu"}, "its activation is 'relu'"),
        ({"lora_adaptations": ["retrieval.query"]}, "it has adapters"),
        ({"pruned_heads": {"0": [1]}}, "attention heads were removed"),
        (
            {"quantization_config": {"bits": 4, "note": "x" * 200}},
            r"stored quantised \(quantization_config is 'dict'\)",
        ),
        ({"auto_map": {"AutoModel": "modeling.OwnModel"}}, "code of its own .*never run"),
        ({"num_attention_heads": 3}, "16 hidden units cannot be shared by 3 heads"),
    ],
)
def test_what_cannot_be_authored_is_refused_with_what_was_found(changes, sentence):
    with pytest.raises(UnsupportedModelError, match=sentence) as caught:
        read_architecture(config(BERT) | changes, "some-model")
    assert str(caught.value).startswith("some-model: ")


def test_positions_that_the_pad_id_uses_up_are_refused():
    with pytest.raises(UnsupportedModelError, match="34 positions are all below the first one used, 40"):
        read_architecture(config(XLM_ROBERTA) | {"pad_token_id": 39}, "m")


@pytest.mark.parametrize(
    "changes",
    [
        {"auto_map": {"AutoTokenizer": "tokenization.OwnTokenizer"}},
        {"architectures": ["BertForMaskedLM"]},
        {"architectures": ["BertForPreTraining"]},
        {"architectures": None},
        {"pruned_heads": {}},
        {"is_decoder": None},
        {"feed_forward_type": "original"},
    ],
)
def test_what_does_not_touch_the_encoder_is_let_pass(changes):
    assert read_architecture(config(BERT) | changes, "m") == BERT


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": None}, "model_type is None"),
        ({"model_type": ["bert"]}, r"model_type is \['bert'\]"),
        ({"hidden_size": None}, "hidden_size is None, not a positive number"),
        ({"hidden_size": "16"}, "hidden_size is '16'"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"vocab_size": 300.5}, "vocab_size is 300.5"),
        ({"layer_norm_eps": 0}, "layer_norm_eps is 0"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps is nan"),
        ({"layer_norm_eps": "tiny"}, "layer_norm_eps is 'tiny'"),
        ({"pad_token_id": -1}, "pad_token_id is -1, not a token id"),
        ({"pad_token_id": "1"}, "pad_token_id is '1'"),
        ({"architectures": "BertModel"}, "architectures is 'BertModel', not a list"),
        ({"architectures": [1]}, r"architectures is \[1\], not a list"),
    ],
)
def test_malformed_values_are_named(changes, sentence):
    with pytest.raises(CheckpointError, match=f"config.json: {sentence}"):
        read_architecture(config(XLM_ROBERTA) | changes, "m")
