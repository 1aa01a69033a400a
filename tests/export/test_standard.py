"""Standard folders of tiny models: made by optimum, opened by the tools they are for."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import BERT, BODIES, ROBERTA, XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_bert_tokenizer, write_tiny_tokenizer

from e5_onnx import Embedder
from e5_onnx.errors import MissingExtraError, StandardGraphError
from e5_onnx_export.checkpoint import open_checkpoint
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import ParityError, ToolError
from e5_onnx_export.pipeline import export
from e5_onnx_export.progress import QuietProgress
from e5_onnx_export.recipe.detection import detect
from e5_onnx_export.recipe.request import RecipeRequest
from e5_onnx_export.request import ExportRequest
from e5_onnx_export.standard import trial as standard_trial
from e5_onnx_export.standard.folder import MARKER_NAME, write_standard
from e5_onnx_export.standard.trial import Tool, try_standard

pytestmark = pytest.mark.optimum

SUFFIXED = RecipeRequest(query_template="Q: {text} ?", document_template="{text} .", pooling="cls")
FILES = {
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "e5_standard.json",
    "modules.json",
    "onnx/model.onnx",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


class Steps(QuietProgress):
    def __init__(self):
        self.said = []

    def step(self, text):
        self.said.append(text)


def checkpoint(folder, architecture):
    bert = architecture is BERT
    write = write_tiny_bert_tokenizer if bert else write_tiny_tokenizer
    tokenizer = write(folder.parent / f"{folder.name}.json")
    return write_checkpoint(folder, architecture, tiny_weights(architecture), tokenizer)


def requested(folder, out, recipe=RecipeRequest(recipe="e5-prefix"), reference="auto"):  # noqa: B008 - frozen
    return ExportRequest(str(folder), out, graph="standard", recipe=recipe, reference=reference)


def context_for(request, progress=None):
    opened = open_checkpoint(request.source)
    return ExportContext(request, opened, detect(opened, request.recipe), progress or QuietProgress())


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def marker(folder):
    return json.loads((folder / MARKER_NAME).read_text("utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One folder that tests look at and do not change, and the request it was made by."""
    base = tmp_path_factory.mktemp("standard")
    request = requested(checkpoint(base / "tiny", BERT), base / "out")
    return request, export(request)


class TestEveryBody:
    @pytest.mark.parametrize("architecture", BODIES, ids=lambda architecture: architecture.body)
    @pytest.mark.parametrize(
        "recipe",
        [RecipeRequest(recipe="e5-instruct"), RecipeRequest(recipe="plain", pooling="cls"), SUFFIXED],
        ids=["instruct and mean", "plain and cls", "words after the text"],
    )
    def test_every_tool_gives_the_references_vectors(self, tmp_path, architecture, recipe):
        out = tmp_path / "out"
        report = export(requested(checkpoint(tmp_path / "tiny", architecture), out, recipe))
        assert files(out) == FILES
        parity = report.parity
        assert (parity.checked, parity.reference) == (True, "sentence-transformers")
        assert parity.texts >= 48
        assert parity.max_abs == pytest.approx(0, abs=1e-5)
        assert marker(out)["opened_with"] == ["onnxruntime", "optimum", "sentence-transformers"]

    def test_a_checkpoint_that_is_no_folder(self, tmp_path):
        request = requested(checkpoint(tmp_path / "tiny", XLM_ROBERTA), tmp_path / "out")
        context = context_for(request)
        inside = ExportContext(
            request, replace(context.checkpoint, folder=None), context.choice, context.progress
        )
        request.out.mkdir()
        assert write_standard(inside, request.out).max_abs == pytest.approx(0, abs=1e-5)
        assert files(request.out) == FILES


class TestFolder:
    def test_it_says_what_it_is(self, made):
        request, report = made
        said = marker(request.out)
        assert said["graph"] == "standard"
        assert said["source"]["weights_sha256"] == open_checkpoint(request.source).source.weights_sha256
        assert said["recipe"]["query_template"] == "query: {text}"
        assert said["parity"]["max_abs"] == report.parity.max_abs
        assert "## Parity" in (request.out / "README.md").read_text("utf-8")

    def test_the_runtime_refuses_it(self, made):
        with pytest.raises(StandardGraphError, match=r"last_hidden_state.*default graph"):
            Embedder(made[0].out)

    def test_it_can_be_exported_from_once_weights_are_added(self, made, tmp_path):
        again = shutil.copytree(made[0].out, tmp_path / "again")
        shutil.copyfile(f"{made[0].source}/model.safetensors", again / "model.safetensors")
        choice = detect(open_checkpoint(str(again)), RecipeRequest())
        assert (choice.recipe.name, choice.pooling, choice.max_tokens) == ("e5-prefix", "mean", 32)

    def test_the_tokenizer_is_the_checkpoints(self, made):
        request, _ = made
        source = open_checkpoint(request.source).tokenizer
        assert (request.out / "tokenizer.json").read_bytes() == source

    def test_weights_of_their_own_file_are_found_under_the_name_in_the_graph(self, tmp_path, monkeypatch):
        # What optimum does by itself over 2 GB.
        monkeypatch.setenv("FORCE_ONNX_EXTERNAL_DATA", "1")
        out = tmp_path / "out"
        export(requested(checkpoint(tmp_path / "tiny", ROBERTA), out))
        assert files(out) == FILES | {"onnx/model.onnx_data"}
        assert b"model.onnx_data" in (out / "onnx" / "model.onnx").read_bytes()


class TestReference:
    def test_none_is_said_and_the_tools_are_tried_all_the_same(self, tmp_path):
        request = requested(checkpoint(tmp_path / "tiny", BERT), tmp_path / "out", reference="none")
        assert not export(request).parity.checked
        assert "sentence-transformers" in marker(request.out)["opened_with"]

    def test_numpy(self, made, tmp_path):
        trial = try_standard(context_for(replace(made[0], reference="numpy")), made[0].out)
        assert trial.parity.reference == "numpy"
        assert trial.parity.max_abs == pytest.approx(0, abs=1e-5)


class TestFailures:
    def test_vectors_far_from_the_references_are_not_kept(self, tmp_path, monkeypatch):
        def other(_job, samples):
            vectors = np.random.default_rng(0).standard_normal((len(samples.ids), BERT.hidden))
            return "torch", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

        monkeypatch.setattr(standard_trial, "embed_with_reference", other)
        request = requested(checkpoint(tmp_path / "tiny", BERT), tmp_path / "out")
        with pytest.raises(ParityError, match=r"(?s)against the torch reference.*; nothing was written"):
            export(request)
        assert {path.name for path in tmp_path.iterdir()} == {"tiny", "tiny.json"}

    def test_a_tool_with_other_vectors_is_named(self, made, monkeypatch):
        def embed(_folder, texts, _choice):
            vectors = np.ones((len(texts), BERT.hidden), np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        monkeypatch.setattr(standard_trial, "TOOLS", (Tool("crooked", "json", embed),))
        with pytest.raises(ParityError, match=r"^opened with crooked: \d+ texts against"):
            try_standard(context_for(made[0]), made[0].out)

    def test_a_tool_that_cannot_open_it_is_named(self, made, tmp_path):
        broken = shutil.copytree(made[0].out, tmp_path / "broken")
        (broken / "modules.json").write_text("[", "utf-8")
        with pytest.raises(ToolError, match="sentence-transformers failed with JSONDecodeError"):
            try_standard(context_for(made[0]), broken)

    def test_a_graph_that_onnxruntime_cannot_load(self, made, tmp_path):
        broken = shutil.copytree(made[0].out, tmp_path / "broken")
        (broken / "onnx" / "model.onnx").write_bytes(b"not a graph")
        with pytest.raises(ToolError, match="onnxruntime failed with"):
            try_standard(context_for(made[0]), broken)

    def test_a_tool_that_is_not_installed_is_left_out_and_that_is_said(self, made, monkeypatch):
        absent = Tool("absent-tool", "no_such_module", lambda *_: pytest.fail("was run"))
        monkeypatch.setattr(standard_trial, "TOOLS", (absent,))
        steps = Steps()
        trial = try_standard(context_for(made[0], steps), made[0].out)
        assert trial.tools == ("onnxruntime",)
        assert "note: absent-tool is not installed, so the folder was not tried with it" in steps.said

    def test_optimum_is_not_installed(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "optimum.exporters.onnx", None)
        request = requested(checkpoint(tmp_path / "tiny", BERT), tmp_path / "out")
        with pytest.raises(MissingExtraError, match=r"pip install 'e5-onnx\[optimum\]'"):
            export(request)
        assert not request.out.exists()


def test_nothing_is_printed(tmp_path, capfd):
    export(requested(checkpoint(tmp_path / "tiny", BERT), tmp_path / "out"))
    assert capfd.readouterr() == ("", "")
