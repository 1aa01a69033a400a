"""Downloads from a real HTTP server that speaks the hub's protocol, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from checkpoint_folders import (
    encoded,
    write_dense,
    write_folder,
    write_json,
    write_modules,
    write_shards,
)
from hub_server import COMMIT, serve
from tiny_models import BERT, XLM_ROBERTA, tiny_weights
from waiting import PATIENCE_S, until

from e5_onnx_export.checkpoint.hub import explain
from e5_onnx_export.errors import HubError, SourceNotFoundError

MODEL = "some-org/some-model"
# What the hub's library reads at once.
BLOCK = 10 * 1024 * 1024
WORDS = "embeddings.word_embeddings.weight"

OPEN = """
import dataclasses, json, sys
from e5_onnx.errors import E5Error
from e5_onnx_export.checkpoint import open_checkpoint

model, revision = sys.argv[1], sys.argv[2] or None
try:
    checkpoint = open_checkpoint(model, revision=revision)
except E5Error as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}))
else:
    rows = checkpoint.weights.read_rows("embeddings.word_embeddings.weight", 290, 292)
    print(json.dumps({"source": dataclasses.asdict(checkpoint.source), "rows": rows.tolist()}))
"""


@pytest.fixture
def start_opening(tmp_path):
    """Starts a process whose hub library is pointed at an endpoint and at a cache of the test's own."""

    def start(endpoint, model=MODEL, revision="", **settings):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment = clean | {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": str(PATIENCE_S),
            "HF_HUB_ETAG_TIMEOUT": str(PATIENCE_S),
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **settings,
        }
        return subprocess.Popen(
            [sys.executable, "-c", OPEN, model, revision],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def open_model(start_opening):
    """Opens a model and returns what came of it."""

    def run(*arguments, **settings):
        process = start_opening(*arguments, **settings)
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        return json.loads(output)

    return run


@pytest.fixture
def repository(tmp_path):
    folder = write_folder(tmp_path / "repository", XLM_ROBERTA)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n", encoding="utf-8")
    write_modules(folder, "Transformer", "Pooling")
    for name in ("sentence_bert_config.json", "sentence_xlm-roberta_config.json"):
        write_json(folder / name, {"max_seq_length": 32})
    write_json(folder / "special_tokens_map.json", {"mask_token": "<mask>"})
    write_json(folder / "added_tokens.json", {})
    write_json(folder / "config_sentence_transformers.json", {})
    for unwanted in ("pytorch_model.bin", "modeling_own.py", "tf_model.h5", "onnx/model.onnx"):
        (folder / unwanted).parent.mkdir(exist_ok=True)
        (folder / unwanted).write_bytes(b"not wanted")
    return folder


def test_a_model_is_downloaded_and_only_what_is_needed_of_it(repository, open_model):
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint)
    assert opened["source"]["name"] == MODEL
    assert opened["source"]["revision"] == COMMIT
    assert opened["source"]["license"] == "mit"
    assert opened["rows"] == tiny_weights(XLM_ROBERTA).read_rows(WORDS, 290, 292).tolist()
    assert hub.fetched() == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "model.safetensors",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "sentence_xlm-roberta_config.json",
        "config_sentence_transformers.json",
        "README.md",
    }


def test_an_encoder_in_a_folder_of_its_own_is_downloaded(tmp_path, open_model):
    repository = tmp_path / "repository"
    write_folder(repository / "0_BERT", XLM_ROBERTA)
    write_modules(repository, "Transformer", "Pooling", encoder="0_BERT")
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint)
    assert opened["rows"] == tiny_weights(XLM_ROBERTA).read_rows(WORDS, 290, 292).tolist()
    assert opened["source"]["name"] == MODEL
    assert hub.fetched() == {
        "modules.json",
        "1_Pooling/config.json",
        "0_BERT/config.json",
        "0_BERT/tokenizer.json",
        "0_BERT/tokenizer_config.json",
        "0_BERT/model.safetensors",
    }


def test_a_dense_module_is_downloaded(repository, open_model):
    write_modules(repository, "Transformer", "Pooling", "Dense")
    write_dense(repository / "2_Dense", np.ones((8, 16), np.float32))
    (repository / "2_Dense" / "pytorch_model.bin").write_bytes(b"not wanted")
    with serve(MODEL, repository) as hub:
        assert open_model(hub.endpoint)["source"]["name"] == MODEL
    assert {"2_Dense/config.json", "2_Dense/model.safetensors"} <= hub.fetched()
    assert "2_Dense/pytorch_model.bin" not in hub.fetched()


def test_the_pickle_of_a_dense_module_does_not_bring_the_encoders(repository, open_model):
    write_modules(repository, "Transformer", "Pooling", "Dense")
    write_dense(repository / "2_Dense", np.ones((8, 16), np.float32))
    (repository / "2_Dense" / "model.safetensors").rename(repository / "2_Dense" / "pytorch_model.bin")
    with serve(MODEL, repository) as hub:
        # It is no pickle, and perhaps torch is not installed.
        assert open_model(hub.endpoint)["error"] in ("CheckpointError", "MissingExtraError")
    assert "2_Dense/pytorch_model.bin" in hub.fetched()
    assert "pytorch_model.bin" not in hub.fetched()


def test_an_adapter_on_the_hub_is_named_as_one(tmp_path, open_model):
    write_json(tmp_path / "repository" / "adapter_config.json", {"base_model_name_or_path": "a/b"})
    for settings in ({}, {"HF_HUB_OFFLINE": "1"}):
        with serve(MODEL, tmp_path / "repository") as hub:
            assert "is of a LoRA adapter of 'a/b'" in open_model(hub.endpoint, **settings)["message"]


def test_shards_are_downloaded(repository, open_model):
    (repository / "model.safetensors").unlink()
    write_shards(repository, encoded(tiny_weights(XLM_ROBERTA)), 3)
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint)
    assert opened["rows"] == tiny_weights(XLM_ROBERTA).read_rows(WORDS, 290, 292).tolist()
    assert "model-00003-of-00003.safetensors" in hub.fetched()
    assert "pytorch_model.bin" not in hub.fetched()


def test_a_pickle_is_downloaded_where_there_is_nothing_else(repository, open_model):
    (repository / "model.safetensors").unlink()
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint)
    # It is no pickle of tensors; where torch is missing, that is said first.
    assert opened["error"] in ("CheckpointError", "MissingExtraError")
    assert "pytorch_model.bin" in hub.fetched()


def test_a_revision_is_asked_for_and_the_commit_is_recorded(repository, open_model):
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint, revision=COMMIT)
    assert opened["source"]["revision"] == COMMIT
    assert ("GET", f"/api/models/{MODEL}/revision/main", None) not in hub.requests


def test_a_killed_download_goes_on_where_it_stopped(tmp_path, start_opening, open_model):
    # The hub's library writes blocks of 10 MiB, so the file must be larger than one of them.
    large = replace(BERT, vocabulary=200_000)
    folder = write_folder(tmp_path / "repository", large)
    with serve(MODEL, folder) as hub:
        hub.stall["model.safetensors"] = len(hub.files["model.safetensors"]) - 100_000
        process = start_opening(hub.endpoint)
        until(lambda: has_a_block(process, tmp_path / "hf"))
        process.kill()
        process.communicate()
        hub.stall.clear()
        hub.released.set()
        opened = open_model(hub.endpoint)
    assert opened["rows"] == tiny_weights(large).read_rows(WORDS, 290, 292).tolist()
    assert hub.downloads("model.safetensors") == [None, f"bytes={BLOCK}-"]


def test_a_file_that_arrives_damaged_is_not_kept(tmp_path, repository, open_model):
    with serve(MODEL, repository) as hub:
        right = hub.files["model.safetensors"]
        hub.send_instead["model.safetensors"] = right[:-1] + bytes([right[-1] ^ 1])
        refused = open_model(hub.endpoint)
        assert list((tmp_path / "hf").rglob("blobs/*.incomplete")) == []
        hub.send_instead.clear()
        opened = open_model(hub.endpoint)
    assert refused["error"] == "HubError"
    assert "arrived damaged and was removed: try again" in refused["message"]
    assert opened["rows"] == tiny_weights(XLM_ROBERTA).read_rows(WORDS, 290, 292).tolist()


def has_a_block(process, cache):
    assert process.poll() is None, process.communicate()
    sizes = [file.stat().st_size for file in cache.rglob("blobs/*.incomplete") if file.exists()]
    return max(sizes, default=0) >= BLOCK


def test_offline_a_warm_cache_is_enough(repository, open_model):
    with serve(MODEL, repository) as hub:
        online = open_model(hub.endpoint)
        hub.requests.clear()
        offline = open_model(hub.endpoint, HF_HUB_OFFLINE="1")
        assert hub.requests == []
    assert offline == online
    # The server is gone: without offline mode, the cache serves all the same.
    assert open_model(hub.endpoint) == online


def test_offline_a_cold_cache_is_an_error(repository, open_model):
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint, HF_HUB_OFFLINE="1")
        assert hub.requests == []
    assert opened["error"] == "HubError"
    assert "not in the cache and HF_HUB_OFFLINE is set: unset it" in opened["message"]


def test_offline_half_a_model_in_the_cache_is_an_error(repository, open_model, tmp_path):
    with serve(MODEL, repository) as hub:
        open_model(hub.endpoint)
        (snapshot,) = (tmp_path / "hf").rglob(f"snapshots/{COMMIT}")
        (snapshot / "model.safetensors").unlink()
        opened = open_model(hub.endpoint, HF_HUB_OFFLINE="1")
    assert opened["error"] == "HubError"
    # From 1.33 or so on, the hub's library refuses such a copy itself.
    assert "HF_HUB_OFFLINE is set: unset it to download the" in opened["message"]


def test_a_server_that_is_not_there(repository, open_model):
    with serve(MODEL, repository) as hub:
        pass
    opened = open_model(hub.endpoint)
    assert opened["error"] == "HubError"
    assert "the hub cannot be reached" in opened["message"]
    assert "no folder of this name here" in opened["message"]


def test_a_model_that_is_not_there(repository, open_model):
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint, model="some-org/no-model")
    assert opened["error"] == "SourceNotFoundError"
    assert "no such folder here, and no such model on the hub" in opened["message"]
    assert "HF_TOKEN" in opened["message"]


def test_a_revision_that_is_not_there(repository, open_model):
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint, revision="v9")
    assert opened["error"] == "SourceNotFoundError"
    assert "no revision 'v9'" in opened["message"]


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ((403, "GatedRepo"), "accept their terms on its page, then log in"),
        ((401, "Unauthorized"), "status 401: log in with `hf auth login` or set HF_TOKEN"),
        ((404, "EntryNotFound"), "status 404: try again later"),
    ],
)
def test_a_refusal_names_the_remedy(repository, open_model, refusal, remedy):
    with serve(MODEL, repository) as hub:
        hub.refusal = refusal
        opened = open_model(hub.endpoint)
    assert opened["error"] == "HubError"
    assert remedy in opened["message"]


def test_a_model_without_a_fast_tokenizer(repository, open_model):
    (repository / "tokenizer.json").unlink()
    with serve(MODEL, repository) as hub:
        opened = open_model(hub.endpoint)
    assert opened["error"] == "CheckpointError"
    assert "save the fast tokenizer there" in opened["message"]


def test_every_other_error_keeps_its_name_and_says_that_nothing_is_lost():
    error = explain(OSError(28, "No space left on device"), MODEL, None)
    assert isinstance(error, HubError)
    assert "OSError: [Errno 28] No space left on device; what has arrived is kept" in str(error)


def test_a_name_that_the_hub_would_not_have():
    from huggingface_hub.errors import HFValidationError

    error = explain(HFValidationError("Cannot have -- or .. in repo_id"), "a--b/c", None)
    assert isinstance(error, SourceNotFoundError)
    assert "not a model's id on the hub" in str(error)


def test_the_rows_read_are_those_of_the_weights():
    # Guards the tests above: the rows that they compare are not all alike.
    rows = tiny_weights(XLM_ROBERTA).read_rows(WORDS, 290, 292)
    assert np.ptp(rows) > 1


def test_the_cache_can_be_read_through_its_links(repository, open_model, tmp_path):
    with serve(MODEL, repository) as hub:
        online = open_model(hub.endpoint)
    (snapshot,) = (tmp_path / "hf").rglob(f"snapshots/{COMMIT}")
    copy = tmp_path / "elsewhere"
    shutil.copytree(snapshot, copy, symlinks=False)
    local = open_model(hub.endpoint, model=str(snapshot))
    assert local["source"]["weights_sha256"] == online["source"]["weights_sha256"]
    assert (local["source"]["name"], local["source"]["revision"]) == (MODEL, COMMIT)
