from __future__ import annotations

import hashlib
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoint_folders import write_config, write_folder, write_json
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import BERT, ROBERTA, XLM_ROBERTA, tiny_weights

from e5_onnx.errors import MissingExtraError
from e5_onnx_export.checkpoint import files, open_checkpoint
from e5_onnx_export.checkpoint.tokenizer_file import compact
from e5_onnx_export.errors import (
    CheckpointError,
    RevisionError,
    SourceNotFoundError,
    UnsupportedModelError,
)

WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "my-model", XLM_ROBERTA)


def test_config_weights_and_tokenizer_are_enough(folder):
    checkpoint = open_checkpoint(str(folder))
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert checkpoint.architecture == XLM_ROBERTA
    assert checkpoint.tokenizer == (folder / "tokenizer.json").read_bytes()
    assert checkpoint.folder == folder
    np.testing.assert_array_equal(checkpoint.weights.read(WORDS), tiny_weights(XLM_ROBERTA).read(WORDS))


def test_the_source_names_the_folder_and_not_where_it_lies(folder, monkeypatch):
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.chdir(folder)
    for spelling in (str(folder), ".", f"../{folder.name}/"):
        source = open_checkpoint(spelling).source
        assert source.name == "my-model"
        assert (source.revision, source.license, source.note) == (None, None, None)
        assert source.weights_sha256 == digest


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("\ufeff---\r\nlanguage: en\r\nlicense: 'apache-2.0'\r\n---\r\n", "apache-2.0"),
        ('---\ntags:\n- a\nlicense: "cc-by-4.0"  \n---\ntext', "cc-by-4.0"),
        ("---\ntags: []\n---\nlicense: mit\n", None),
        ("# A model\nlicense: mit\n", None),
        ("---\nlicense:\n- mit\n---\n", None),
        ("", None),
    ],
)
def test_the_licence_is_that_of_the_front_matter(folder, card, licence):
    (folder / "README.md").write_bytes(card.encode())
    assert open_checkpoint(str(folder)).source.license == licence


def test_the_body_comes_from_the_config_and_not_from_the_tokenizer(tmp_path):
    folder = write_folder(tmp_path / "m", BERT)
    # multilingual-e5-small: an XLM-R tokenizer, whose pad id is 1, over a BERT body.
    assert json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["type"] == "Unigram"
    assert open_checkpoint(str(folder)).architecture == BERT


def test_camembert_is_a_roberta(tmp_path):
    folder = write_folder(tmp_path / "m", ROBERTA, model_type="camembert", architectures=["CamembertModel"])
    assert open_checkpoint(str(folder)).architecture == ROBERTA


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("config.json", "config.json: is missing from .*my-model: it is not a Hugging Face model folder"),
        (
            "tokenizer.json",
            r"tokenizer.json: is missing .*save the fast tokenizer .*use_fast=True\).save_pretrained"
            r".*Where that writes no tokenizer.json, .* cannot be exported",
        ),
        (
            "model.safetensors",
            "model.safetensors: is missing .* and so are .* and pytorch_model.bin: there are no weights",
        ),
    ],
)
def test_a_missing_file_is_named(folder, name, sentence):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=sentence):
        open_checkpoint(str(folder))


def test_an_unsupported_model_is_refused_before_its_weights_are_looked_at(folder):
    (folder / "model.safetensors").unlink()
    write_config(folder, XLM_ROBERTA, position_embedding_type="alibi")
    with pytest.raises(UnsupportedModelError, match="my-model: its positions are 'alibi'"):
        open_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ("[1]", r"holds \[1\], not an object"),
        ("[" * 100_000, "is not JSON"),
        ("\udcff", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_a_config_that_is_no_object_is_refused(folder, content, sentence):
    (folder / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=f"config.json: {sentence}"):
        open_checkpoint(str(folder))


def test_a_json_file_beyond_the_limit_is_refused(folder):
    with (folder / "config.json").open("r+b") as file:
        file.truncate(files.MAX_CONFIG_BYTES + 1)
    with pytest.raises(
        CheckpointError, match=r"config.json: has 10000001 bytes, which is more than the 10000000"
    ):
        open_checkpoint(str(folder))


def test_a_word_table_with_fewer_rows_than_the_tokenizer_has_tokens_is_refused(tmp_path):
    folder = write_folder(tmp_path / "m", BERT)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["added_tokens"].append({"id": 300, "content": "<new>", "special": True})
    write_json(folder / "tokenizer.json", tokenizer)
    with pytest.raises(
        CheckpointError,
        match=r"tokenizer.json: has 301 tokens \(the last is '<new>'\) as a PreTrainedTokenizerFast, but the "
        r"token embedding matrix has only 300 rows: it was not resized for an added token, "
        r"tokenizer_config.json is",
    ):
        open_checkpoint(str(folder))


def test_a_word_table_may_have_rows_to_spare(tmp_path):
    spare = write_folder(tmp_path / "m", BERT)
    tokenizer = json.loads((spare / "tokenizer.json").read_text(encoding="utf-8"))
    del tokenizer["model"]["vocab"][-10:]
    tokenizer["added_tokens"] = []
    write_json(spare / "tokenizer.json", tokenizer)
    assert open_checkpoint(str(spare)).architecture.vocabulary == 300


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"model": {}},
        {"model": {"vocab": {"a": "b"}}},
        {"model": {"vocab": []}},
        {"model": {"vocab": 7}},
    ],
)
def test_a_tokenizer_that_is_none_is_refused(folder, content):
    write_json(folder / "tokenizer.json", content)
    with pytest.raises(CheckpointError, match=r"tokenizer.json: "):
        open_checkpoint(str(folder))


@given(
    st.recursive(st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_a_compact_document_says_the_same(value):
    for indent in (None, 0, 2, "\t"):
        written = json.dumps(value, indent=indent, ensure_ascii=False)
        found = compact(written.replace("\n", "\r\n").encode()).decode()
        assert "\n" not in found
        assert repr(json.loads(found)) == repr(value)


def test_numbers_and_strings_stay_as_they_are_written():
    assert compact(b'{\n  "a\\n  b": 1e-05,\n\t"c": [1.50]\n}\n') == b'{"a\\n  b": 1e-05,"c": [1.50]}'


def test_a_folder_has_no_revisions(folder):
    with pytest.raises(
        RevisionError, match="is a folder on this machine, which has no revisions: leave `revision`"
    ):
        open_checkpoint(str(folder), revision="main")


def test_a_file_is_not_a_folder(folder):
    with pytest.raises(SourceNotFoundError, match=r"config.json: is a file: give the folder that holds"):
        open_checkpoint(str(folder / "config.json"))


@pytest.mark.parametrize(
    "source", ["./none", "/none/at/all", "a/b/c", "~/model", "model/", "", "what is this", "a\\b"]
)
def test_what_can_only_be_a_path_is_not_asked_of_the_hub(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "e5_onnx_export.checkpoint.hub", None)
    with pytest.raises(
        SourceNotFoundError, match="no such folder here, and it is not a model's id on the hub"
    ):
        open_checkpoint(source)


def test_a_folder_is_preferred_to_a_model_on_the_hub(tmp_path, monkeypatch):
    write_folder(tmp_path / "intfloat" / "multilingual-e5-small", BERT)
    monkeypatch.chdir(tmp_path)
    assert open_checkpoint("intfloat/multilingual-e5-small").source.name == "multilingual-e5-small"


def as_pickle(folder: Path) -> Path:
    (folder / "model.safetensors").unlink()
    return folder / "pytorch_model.bin"


@pytest.mark.security
def test_a_pickle_needs_torch(folder, monkeypatch):
    as_pickle(folder).write_bytes(b"whatever")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtraError, match=r"torch is not installed: `pip install 'e5-onnx\[reference\]'`"
    ):
        open_checkpoint(str(folder))


@pytest.mark.reference
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_read_with_torch(folder, zipped):
    import torch

    weights = tiny_weights(XLM_ROBERTA)
    state = {f"roberta.{name}": torch.from_numpy(weights.read(name)).bfloat16() for name in weights.names()}
    torch.save(state, as_pickle(folder), _use_new_zipfile_serialization=zipped)
    checkpoint = open_checkpoint(str(folder))
    for name in weights.names():
        stored = torch.from_numpy(weights.read(name)).bfloat16().float().numpy()
        np.testing.assert_array_equal(checkpoint.weights.read(name), stored)
    assert checkpoint.weights.read_rows(WORDS, 295, 400).shape == (5, 16)
    digest = hashlib.sha256((folder / "pytorch_model.bin").read_bytes()).hexdigest()
    assert checkpoint.source.weights_sha256 == digest


class Trap:
    """Unpickling it runs code."""

    def __reduce__(self):
        return (Path.touch, (Path("trapped"),))


@pytest.mark.security
@pytest.mark.reference
@pytest.mark.parametrize("content", [{"x": Trap()}, b""], ids=["code", "empty"])
def test_a_pickle_with_anything_but_tensors_is_refused_and_runs_nothing(
    folder, content, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    as_pickle(folder).write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    with pytest.raises(
        CheckpointError, match=r"pytorch_model.bin: is refused by torch's weights-only loader"
    ):
        open_checkpoint(str(folder))
    assert not Path("trapped").exists()


@pytest.mark.reference
@pytest.mark.parametrize("content", [[1, 2], {"step": 7}])
def test_a_pickle_that_is_no_table_of_tensors_is_refused(folder, content):
    import torch

    torch.save(content, as_pickle(folder))
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin: is not a table of tensors"):
        open_checkpoint(str(folder))


@pytest.mark.reference
def test_a_pickle_in_float64_is_read(folder):
    import torch

    weights = tiny_weights(XLM_ROBERTA)
    state = {name: torch.from_numpy(weights.read(name)).double() for name in weights.names()}
    torch.save(state, as_pickle(folder))
    np.testing.assert_array_equal(open_checkpoint(str(folder)).weights.read(WORDS), weights.read(WORDS))


@pytest.mark.reference
@pytest.mark.parametrize("number", ["int8", "float8_e4m3fn"])
def test_a_pickle_in_a_quantised_number_format_is_refused(folder, number):
    import torch

    weights = tiny_weights(XLM_ROBERTA)
    state = {
        name: torch.from_numpy(weights.read(name)).to(getattr(torch, number)) for name in weights.names()
    }
    torch.save(state, as_pickle(folder))
    sentence = f"is stored as torch.{number}; .* can be read: export from the weights as they were before"
    with pytest.raises(CheckpointError, match=sentence):
        open_checkpoint(str(folder))
