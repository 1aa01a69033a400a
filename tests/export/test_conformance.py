"""Checkpoints in published layouts, exported and compared with sentence-transformers from text to vector."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_layouts import (
    SAVED_BY_5,
    SAVED_BY_6,
    Layout,
    build,
    change,
    drop,
    modules,
    nested,
    pooling,
    prompts,
    weights,
    write,
)

from e5_onnx import Embedder
from e5_onnx_export.checkpoint import local
from e5_onnx_export.cli import main

pytestmark = pytest.mark.reference

TEXTS = [
    "the tea",
    "",
    "THE Red house, téa ÄÖ",
    "[QRY] tea <mask> a[MASK] [qry]",
    "東京 tea 東京",
    "  the   sea ",
    "tea water house red " * 40,
    "a city of the kings " * 17,
]
E5 = ("--recipe", "e5-prefix")
E5_PROMPTS = ("query: ", "passage: ")
INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
NAME = "sentence_bert_config.json"
CONFIG = "tokenizer_config.json"
QRY = {"content": "[QRY]", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
NOTHING: tuple[str, ...] = ()

EXPORTED = (
    Layout(
        "multilingual-e5-large-instruct",
        "xlm-roberta",
        (
            weights("xlm-roberta", "F16"),
            change("config.json", torch_dtype="float16"),
            drop(NAME),
            write("sentence_xlm-roberta_config.json", {"max_seq_length": 66, "do_lower_case": False}),
        ),
        ("--recipe", "e5-instruct"),
        (INSTRUCT, ""),
    ),
    Layout("multilingual-e5-small", "e5-small", flags=E5, prompts=E5_PROMPTS),
    Layout("multilingual-e5-base", "xlm-roberta", flags=E5, prompts=E5_PROMPTS),
    Layout("e5-base-v2", "bert", (change(NAME, max_seq_length=64),), E5, E5_PROMPTS),
    Layout("bge-m3", "xlm-roberta", (write("1_Pooling/config.json", pooling("cls")),)),
    Layout("bge-base-en", "bert", (write("1_Pooling/config.json", pooling("cls")),)),
    Layout(
        "arctic-embed",
        "bert",
        (
            write("1_Pooling/config.json", pooling("cls")),
            prompts(query="Represent this sentence for searching relevant passages: "),
        ),
        NOTHING,
    ),
    Layout("granite-embedding", "roberta", (write("1_Pooling/config.json", pooling("cls")),)),
    Layout("paraphrase-multilingual-MiniLM", "e5-small", (change(NAME, max_seq_length=32),)),
    Layout("all-MiniLM", "bert", (change(NAME, max_seq_length=48),)),
    Layout("sentence-camembert", "camembert"),
    Layout("msmarco-distilbert", "distilbert"),
    Layout("saved by version 5", "bert", (*SAVED_BY_5, change(CONFIG, model_max_length=24))),
    Layout("saved by version 6", "bert", (*SAVED_BY_6, change(CONFIG, model_max_length=24))),
    Layout("XLM-R saved by version 5", "xlm-roberta", SAVED_BY_5),
    Layout("e5 fine-tuned at 20 tokens", "bert", (change(NAME, max_seq_length=20),), E5, E5_PROMPTS),
    Layout("bfloat16", "bert", (weights("bert", "BF16"),)),
    Layout("float16", "roberta", (weights("roberta", "F16"),)),
    Layout("three shards", "bert", (weights("bert", shards=3),)),
    Layout("the prefix bert.", "bert", (weights("bert", prefix="bert."),)),
    Layout("the prefix roberta.", "xlm-roberta", (weights("xlm-roberta", prefix="roberta."),)),
    Layout(
        "cased",
        "bert",
        (nested("tokenizer.json", "normalizer", lowercase=False), change(CONFIG, do_lower_case=False)),
    ),
    Layout(
        "lower case by the class alone", "bert", (nested("tokenizer.json", "normalizer", lowercase=False),)
    ),
    Layout("case kept by tokenizer_config.json", "bert", (change(CONFIG, do_lower_case=False),)),
    Layout("accents kept", "bert", (change(CONFIG, strip_accents=False),)),
    Layout("Chinese in one piece", "bert", (change(CONFIG, tokenize_chinese_chars=False),)),
    Layout(
        "no tokenizer_config.json",
        "bert",
        (drop(CONFIG), nested("tokenizer.json", "normalizer", lowercase=False)),
    ),
    Layout("lower case by sentence-transformers", "xlm-roberta", (change(NAME, do_lower_case=True),)),
    Layout("a token of added_tokens_decoder", "bert", (change(CONFIG, added_tokens_decoder={"300": QRY}),)),
    Layout("a token of added_tokens.json", "bert", (write("added_tokens.json", {"[QRY]": 300}),)),
    Layout(
        "a token of additional_special_tokens", "bert", (change(CONFIG, additional_special_tokens=["[QRY]"]),)
    ),
    Layout(
        "a token of special_tokens_map.json",
        "xlm-roberta",
        (change("special_tokens_map.json", additional_special_tokens=["[QRY]"]),),
    ),
    Layout("a space before a text", "roberta", (change(CONFIG, add_prefix_space=True),)),
    Layout("the length of tokenizer_config.json", "bert", (drop(NAME), change(CONFIG, model_max_length=20))),
    Layout("no length at all", "bert", (drop(NAME), change(CONFIG, model_max_length=10**30))),
    Layout(
        "the length null", "bert", (change(NAME, max_seq_length=None), change(CONFIG, model_max_length=20))
    ),
    Layout("the length of tokenizer_args", "bert", (change(NAME, tokenizer_args={"model_max_length": 16}),)),
    Layout(
        "the length of processor_kwargs", "bert", (change(NAME, processor_kwargs={"model_max_length": 16}),)
    ),
    *(
        Layout(
            f"sentence_{kind}_config.json",
            "bert",
            (drop(NAME), write(f"sentence_{kind}_config.json", {"max_seq_length": 16})),
        )
        for kind in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
    Layout(
        "prompts for both roles", "xlm-roberta", (prompts(query="query: ", document="passage: "),), NOTHING
    ),
    Layout("a passage prompt", "bert", (prompts(query="query: ", passage="passage: "),), NOTHING),
    Layout("an instruct prompt", "xlm-roberta", (prompts(query=INSTRUCT),), NOTHING),
    Layout("a default prompt for queries", "bert", (prompts("query", query="Represent this: "),), NOTHING),
    Layout(
        "a default prompt of another name", "bert", (prompts("find", find="find: ", sts="sim: "),), NOTHING
    ),
    Layout("a null prompt", "bert", (prompts(query=None, document="D "),), NOTHING),
    Layout(
        "include_prompt without prompts", "bert", (change("1_Pooling/config.json", include_prompt=False),)
    ),
    Layout("pooling by default", "bert", (write("1_Pooling/config.json", {"word_embedding_dimension": 32}),)),
    Layout(
        "a dropout",
        "bert",
        (
            write(
                "modules.json",
                modules(
                    "models.Transformer",
                    "models.Pooling",
                    "models.Dropout",
                    paths=("", "1_Pooling", "2_Dropout"),
                ),
            ),
            write("2_Dropout/config.json", {"dropout": 0.1}),
        ),
    ),
    Layout("gelu_python", "bert", (change("config.json", hidden_act="gelu_python"),)),
    Layout("padding on the left", "xlm-roberta", (change(CONFIG, padding_side="left"),)),
)

REFUSED = (
    Layout(
        "cut at the beginning",
        "bert",
        (change(CONFIG, truncation_side="left"),),
        refusal="truncation_side is left",
    ),
    Layout("BERT padded on the left", "bert", (change(CONFIG, padding_side="left"),), refusal="padding_side"),
    Layout(
        "special tokens split",
        "bert",
        (change(CONFIG, split_special_tokens=True),),
        refusal="split_special_tokens",
    ),
    Layout(
        "BertJapaneseTokenizer",
        "bert",
        (change(CONFIG, tokenizer_class="BertJapaneseTokenizer"),),
        refusal="Python code",
    ),
    Layout(
        "a token without a row",
        "bert",
        (change(CONFIG, additional_special_tokens=["[1]", "[2]", "[3]"]),),
        refusal="303 tokens",
    ),
    Layout(
        "prompts of other names",
        "bert",
        (prompts(s2p_query="find: "),),
        NOTHING,
        refusal="--query-template 'find: {text}'",
    ),
    Layout("max pooling", "bert", (write("1_Pooling/config.json", pooling("max")),), refusal="pools by"),
    Layout(
        "prompts left out of the pooling",
        "bert",
        (prompts(query="Q "), change("1_Pooling/config.json", include_prompt=False)),
        NOTHING,
        refusal="include_prompt",
    ),
    Layout(
        "half precision asked for",
        "bert",
        (change(NAME, model_args={"torch_dtype": "float16"}),),
        refusal="computes in float32",
    ),
    Layout(
        "a slow tokenizer asked for",
        "bert",
        (change(NAME, tokenizer_args={"use_fast": False}),),
        refusal="use_fast",
    ),
    Layout(
        "vectors cut short",
        "bert",
        (change("config_sentence_transformers.json", truncate_dim=8),),
        refusal="truncate_dim",
    ),
    Layout(
        "a WeightedLayerPooling module",
        "bert",
        (
            write(
                "modules.json", modules("models.Transformer", "models.Pooling", "models.WeightedLayerPooling")
            ),
        ),
        refusal="WeightedLayerPooling",
    ),
    Layout(
        "a LoRA adapter",
        "bert",
        (write("adapter_config.json", {"peft_type": "LORA"}),),
        refusal="merge it into its base",
    ),
)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exported(folder, out, layout):
    return main([str(folder), str(out), *layout.flags, "--no-lean", "--reference", "numpy"])


@pytest.mark.parametrize("layout", EXPORTED, ids=lambda layout: layout.name)
def test_the_vectors_are_those_of_sentence_transformers(tmp_path, capsys, layout):
    from sentence_transformers import SentenceTransformer

    folder = build(tmp_path / "source", layout)
    assert exported(folder, tmp_path / "out", layout) == 0, capsys.readouterr().err
    model = Embedder(tmp_path / "out", overflow="truncate")
    truth = SentenceTransformer(str(folder), device="cpu", local_files_only=True).float()
    # More than there are positions for makes it fail.
    truth.max_seq_length = min(truth.max_seq_length or 64, 64)
    query, document = layout.prompts or (None, None)
    for role, expected in (
        ("raw", truth.encode(TEXTS, prompt="")),
        ("query", truth.encode_query(TEXTS, prompt=query)),
        ("document", truth.encode_document(TEXTS, prompt=document)),
    ):
        found = model.encode(TEXTS, role=role).vectors  # type: ignore[arg-type]
        np.testing.assert_allclose(found, unit(expected), atol=1e-5, err_msg=role)


@pytest.mark.parametrize("layout", REFUSED, ids=lambda layout: layout.name)
def test_what_cannot_be_the_same_is_refused(tmp_path, capsys, layout):
    folder = build(tmp_path / "source", layout)
    assert exported(folder, tmp_path / "out", layout) in (1, 2)
    assert layout.refusal in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_tokens_than_those_of_transformers_are_refused(tmp_path, capsys, monkeypatch):
    layout = Layout("accents kept", "bert", (change(CONFIG, strip_accents=False),))
    folder = build(tmp_path / "source", layout)
    # As if the files beside it were never read.
    monkeypatch.setattr(local, "read_tokenizer", lambda path, *_, **__: path.read_bytes())
    assert exported(folder, tmp_path / "out", layout) == 1
    error = capsys.readouterr().err
    assert "makes other tokens of" in error
    assert "where the exported tokenizer makes [" in error
    assert not (tmp_path / "out").exists()
