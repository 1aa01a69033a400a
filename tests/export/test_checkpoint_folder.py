"""Where a model's files lie, what the model is called, and what is said of a folder without one."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from checkpoint_folders import encoded, write_folder, write_json, write_safetensors
from tiny_models import BERT, XLM_ROBERTA, tiny_weights

from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.errors import CheckpointError, SourceNotFoundError
from e5_onnx_export.recipe.detection import detect
from e5_onnx_export.recipe.request import RecipeRequest

WORDS = "embeddings.word_embeddings.weight"
LIBRARY = "sentence_transformers.models."
COMMIT, OTHER = "0a1b2c3d" * 5, "f" * 40
SMALL = "intfloat/multilingual-e5-small"


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "my-model", XLM_ROBERTA)


def refusal(folder):
    with pytest.raises((CheckpointError, SourceNotFoundError)) as caught:
        open_checkpoint(str(folder))
    return str(caught.value)


class TestAnEncoderInAFolderOfItsOwn:
    """As sentence-transformers wrote it up to 2021: the encoder in 0_Transformer."""

    @pytest.fixture
    def old(self, tmp_path, folder):
        top = tmp_path / "old"
        top.mkdir()
        shutil.move(folder, top / "0_Transformer")
        rows = [(f"{LIBRARY}Transformer", "0_Transformer"), (f"{LIBRARY}Pooling", "1_Pooling")]
        modules = [{"idx": i, "name": str(i), "type": kind, "path": at} for i, (kind, at) in enumerate(rows)]
        write_json(top / "modules.json", modules)
        write_json(top / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True})
        write_json(top / "0_Transformer" / "sentence_bert_config.json", {"max_seq_length": 24})
        write_json(top / "config_sentence_transformers.json", {"prompts": {"query": "find: "}})
        (top / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
        return top

    def test_the_upper_folder_opens_with_all_that_it_says(self, old):
        checkpoint = open_checkpoint(str(old))
        assert (checkpoint.source.name, checkpoint.source.license) == ("old", "mit")
        assert (checkpoint.folder, checkpoint.encoder_folder) == (old, old / "0_Transformer")
        np.testing.assert_array_equal(checkpoint.weights.read(WORDS), tiny_weights(XLM_ROBERTA).read(WORDS))
        choice = detect(checkpoint, RecipeRequest())
        assert (choice.pooling, choice.max_tokens) == ("cls", 24)
        assert choice.recipe.query_template == "find: {text}"

    def test_a_config_beside_modules_json_is_not_the_encoders(self, old):
        # Of the oldest folders; it holds a version number alone.
        write_json(old / "config.json", {"__version__": "0.3.0"})
        assert open_checkpoint(str(old)).architecture == XLM_ROBERTA

    def test_files_that_are_missing_are_missed_there(self, old):
        (old / "0_Transformer" / "config.json").unlink()
        assert f"config.json: is missing from {old / '0_Transformer'}" in refusal(old)

    def test_a_folder_that_is_missing(self, old):
        shutil.rmtree(old / "0_Transformer")
        assert "modules.json: names the folder '0_Transformer' for the encoder, which is missing" in refusal(
            old
        )

    @pytest.mark.parametrize("path", ["../elsewhere", "/elsewhere", "..", "a/b"])
    def test_a_folder_elsewhere(self, old, path):
        modules = json.loads((old / "modules.json").read_text("utf-8"))
        write_json(old / "modules.json", [modules[0] | {"path": path}, modules[1]])
        assert "which is not one beside it" in refusal(old)


class TestNames:
    def test_a_link_keeps_the_name_that_was_given(self, folder, tmp_path):
        link = tmp_path / "multilingual-e5-small"
        link.symlink_to(folder, target_is_directory=True)
        checkpoint = open_checkpoint(str(link))
        assert checkpoint.source.name == "multilingual-e5-small"
        assert "taken for intfloat/multilingual-e5-small" in detect(checkpoint, RecipeRequest()).notes[0]

    @pytest.fixture
    def cache(self, folder, tmp_path):
        """As the hub's library lays it out: snapshots are links to blobs."""
        cache = tmp_path / "hub" / "models--intfloat--multilingual-e5-small"
        snapshot = cache / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        (cache / "blobs").mkdir()
        for file in folder.iterdir():
            shutil.move(file, cache / "blobs" / f"{file.name}-blob")
            (snapshot / file.name).symlink_to(f"../../blobs/{file.name}-blob")
        return cache

    @pytest.mark.parametrize("inner", ["", "snapshots", f"snapshots/{COMMIT}"])
    def test_a_folder_of_the_hubs_cache_has_name_and_revision(self, cache, inner):
        checkpoint = open_checkpoint(str(cache / inner))
        assert (checkpoint.source.name, checkpoint.source.revision) == (SMALL, COMMIT)
        choice = detect(checkpoint, RecipeRequest())
        assert (choice.recipe.name, choice.notes) == ("e5-prefix", ())

    def test_from_within(self, cache, monkeypatch):
        monkeypatch.chdir(cache / "snapshots")
        assert open_checkpoint(f"./{COMMIT}").source.name == SMALL
        monkeypatch.chdir(cache)
        assert open_checkpoint(".").source.name == SMALL

    def test_a_model_without_an_organisation(self, cache):
        renamed = cache.rename(cache.with_name("models--bert-base"))
        assert open_checkpoint(str(renamed)).source.name == "bert-base"

    def test_of_several_snapshots_main_is_the_one(self, cache):
        shutil.copytree(cache / "snapshots" / COMMIT, cache / "snapshots" / OTHER, symlinks=True)
        told = refusal(cache)
        assert f"is the hub's cache of {SMALL}, with the snapshots {COMMIT}, {OTHER}: give one of" in told
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text(OTHER, encoding="utf-8")
        assert open_checkpoint(str(cache)).source.revision == OTHER
        (cache / "refs" / "main").write_text("gone", encoding="utf-8")
        assert refusal(cache) == told

    def test_no_snapshot(self, cache):
        shutil.rmtree(cache / "snapshots" / COMMIT)
        assert f"is the hub's cache of {SMALL}, with no snapshot of it" in refusal(cache)

    def test_a_folder_that_is_only_called_so(self, folder, tmp_path):
        called = folder.rename(tmp_path / "models--a--b")
        source = open_checkpoint(str(called)).source
        assert (source.name, source.revision) == ("models--a--b", None)


class TestAdapters:
    CONFIG = {"peft_type": "LORA", "base_model_name_or_path": "intfloat/e5-small-v2", "r": 8}  # noqa: RUF012

    def write(self, folder, ending="safetensors", **config):
        folder.mkdir(exist_ok=True)
        write_json(folder / "adapter_config.json", self.CONFIG | config)
        tensor = {"base_model.model.encoder.layer.0.attention.self.query.lora_A.weight": ("F32", np.zeros(2))}
        write_safetensors(folder / f"adapter_model.{ending}", tensor)

    @pytest.mark.parametrize("ending", ["safetensors", "bin"])
    def test_an_adapter_alone(self, tmp_path, ending):
        self.write(tmp_path / "lora", ending)
        told = refusal(tmp_path / "lora")
        assert told.startswith(
            "adapter_config.json: is of a LoRA adapter of 'intfloat/e5-small-v2', and not of a whole model: "
        )
        assert "AutoPeftModelForFeatureExtraction.from_pretrained(FOLDER).merge_and_unload()" in told

    def test_another_kind_of_adapter(self, tmp_path):
        self.write(tmp_path / "ia3", peft_type="IA3", base_model_name_or_path=None)
        assert "is of an adapter (IA3) of another model" in refusal(tmp_path / "ia3")

    def test_an_adapter_beside_a_model(self, folder):
        self.write(folder)
        told = refusal(folder)
        assert "adapter_config.json: is of a LoRA adapter beside a model: merge it" in told
        assert told.endswith("remove adapter_config.json and adapter_model.safetensors")
        (folder / "adapter_config.json").unlink()
        assert "adapter_model.safetensors: is of a LoRA adapter beside a model" in refusal(folder)


class TestWhatIsThereInstead:
    @pytest.mark.parametrize(
        ("file", "sentence"),
        [
            ("tf_model.h5", "The weights in tf_model.h5 are TensorFlow's: convert them with transformers 4"),
            ("flax_model.msgpack", "flax_model.msgpack are Flax's: .*from_flax=True"),
            ("onnx/model.onnx", "The weights in onnx/model.onnx are an ONNX graph's: export from the"),
            ("model-q8_0.gguf", "model-q8_0.gguf are llama.cpp's"),
            ("pytorch_model-00001-of-00002.bin", "are one of several, and the index of them is missing"),
            ("model-00001-of-00002.safetensors", "are one of several, and the index of them is missing"),
            ("model.fp16.safetensors", "are under a name that transformers does not look for$"),
            ("training_args.bin", "pytorch_model.bin: there are no weights$"),
        ],
    )
    def test_weights(self, folder, file, sentence):
        (folder / "model.safetensors").unlink()
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(b"x")
        with pytest.raises(CheckpointError, match=f"^model.safetensors: is missing from .*{sentence}"):
            open_checkpoint(str(folder))

    def test_a_model_one_folder_down(self, folder):
        assert refusal(folder.parent).endswith("but my-model in it has one: give that folder")

    def test_no_model_at_all(self, tmp_path):
        write_json(tmp_path / "1_Pooling" / "config.json", {})
        assert refusal(tmp_path).endswith("it is not a Hugging Face model folder")

    @pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
    @pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "PhobertTokenizer"])
    def test_a_tokenizer_that_has_no_fast_form(self, folder, file, name):
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()
        values = json.loads((folder / "config.json").read_text("utf-8")) if file == "config.json" else {}
        write_json(folder / file, values | {"tokenizer_class": name})
        told = refusal(folder)
        assert f"and there can be none: {name} is code in Python" in told
        assert told.endswith("The model cannot be exported")
        assert "save_pretrained" not in told


def write_pickles(folder, architecture, count=3):
    import torch

    (folder / "model.safetensors").unlink()
    weights = tiny_weights(architecture)
    names = list(weights.names())
    placed: dict[str, str] = {}
    for shard in range(count):
        file = f"pytorch_model-{shard + 1:05}-of-{count:05}.bin"
        here = names[shard::count]
        torch.save({name: torch.from_numpy(weights.read(name)) for name in here}, folder / file)
        placed |= dict.fromkeys(here, file)
    return write_json(folder / "pytorch_model.bin.index.json", {"weight_map": placed}), placed


@pytest.mark.reference
class TestPicklesInShards:
    @pytest.fixture
    def pickles(self, tmp_path):
        folder = write_folder(tmp_path / "pickles", BERT)
        write_pickles(folder, BERT)
        return folder

    def test_they_are_read_as_one(self, pickles):
        read = open_checkpoint(str(pickles)).weights
        for name in read.names():
            np.testing.assert_array_equal(read.read(name), tiny_weights(BERT).read(name))

    @pytest.mark.optimum  # its environment has transformers 4, the last to save pickles
    def test_as_transformers_saves_them(self, tmp_path):
        from reference_models import save_random_model

        folder = write_folder(tmp_path / "m", BERT)
        (folder / "model.safetensors").unlink()
        model = save_random_model(folder, BERT, shards=2, safe_serialization=False)
        assert (folder / "pytorch_model.bin.index.json").exists()
        state, read = model.state_dict(), open_checkpoint(str(folder)).weights
        for name in read.names():
            np.testing.assert_array_equal(read.read(name), state[name].numpy(), err_msg=name)

    def test_safetensors_are_preferred(self, pickles):
        write_safetensors(pickles / "model.safetensors", encoded(tiny_weights(BERT, seed=1)))
        read = open_checkpoint(str(pickles)).weights
        np.testing.assert_array_equal(read.read(WORDS), tiny_weights(BERT, seed=1).read(WORDS))

    def test_a_shard_that_is_missing(self, pickles):
        (pickles / "pytorch_model-00002-of-00003.bin").unlink()
        assert "names pytorch_model-00002-of-00003.bin, which is missing" in refusal(pickles)

    def test_an_index_that_does_not_agree(self, pickles):
        index = pickles / "pytorch_model.bin.index.json"
        values = json.loads(index.read_text("utf-8"))
        values["weight_map"][WORDS] = "pytorch_model-00002-of-00003.bin"
        write_json(index, values)
        assert f"and pytorch_model.bin.index.json do not agree on where tensor '{WORDS}' is" in refusal(
            pickles
        )

    def test_code_in_a_shard_is_not_run(self, pickles, tmp_path, monkeypatch):
        import pickle
        from pathlib import Path

        class Trap:
            def __reduce__(self):
                return (Path.touch, (Path("trapped"),))

        monkeypatch.chdir(tmp_path)
        (pickles / "pytorch_model-00001-of-00003.bin").write_bytes(pickle.dumps({"x": Trap()}))
        assert "is refused by torch's weights-only loader" in refusal(pickles)
        assert not Path("trapped").exists()
