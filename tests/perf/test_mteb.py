"""A model folder in mteb itself, on small local tasks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import STS, TATOEBA

from e5_onnx import Embedder
from e5_onnx.inference.encoded import Encoded
from e5_onnx_perf.accuracy.scores import accuracy_items, cosines, f1_items, nearest, spearman
from e5_onnx_perf.cli import main

pytestmark = [
    pytest.mark.reference,
    # mteb's own evaluator of bitext copies its tensors so.
    pytest.mark.filterwarnings("ignore:To copy construct from a tensor:UserWarning"),
]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")


def sts_task(language: str = "de") -> Any:
    import mteb
    from datasets import Dataset

    (task,) = mteb.get_tasks(tasks=["STSBenchmarkMultilingualSTS"], languages=["deu"], eval_splits=["test"])
    left, right, scores = zip(*STS[language], strict=True)
    rows = Dataset.from_dict({"sentence1": left, "sentence2": right, "score": scores})
    task.dataset, task.data_loaded = {"de": {"test": rows}}, True
    return task


def bitext_task() -> Any:
    import mteb
    from datasets import Dataset

    (task,) = mteb.get_tasks(tasks=["Tatoeba"], languages=["deu"])
    other, english = zip(*TATOEBA["deu"], strict=True)
    rows = Dataset.from_dict({"sentence1": other, "sentence2": english})
    task.dataset, task.data_loaded = {"deu-eng": {"test": rows}}, True
    return task


def encoder(folder: Path) -> Any:
    from e5_onnx_perf.mteb_encoder import E5OnnxEncoder

    return E5OnnxEncoder(folder)


def scores_of(model: Any, task: Any) -> dict[str, Any]:
    from e5_onnx_perf.mteb_command import evaluate

    (result,) = evaluate(model, [task])
    (rows,) = result["scores"].values()
    return rows[0]


def test_sts_is_what_our_own_scorer_says(exported) -> None:
    found = scores_of(encoder(exported.int8), sts_task())
    left, right, truth = zip(*STS["de"], strict=True)
    with Embedder(exported.int8) as model:
        vectors = [
            model.embed_queries(list(texts), task="Retrieve semantically similar text.")
            for texts in (left, right)
        ]
    ours = spearman(cosines(*vectors), np.array(truth))
    assert 100 * found["main_score"] == pytest.approx(ours, abs=0.01)
    assert 100 * found["cosine_spearman"] == pytest.approx(ours, abs=0.01)


def test_bitext_is_what_our_own_scorer_says(exported) -> None:
    found = scores_of(encoder(exported.int8), bitext_task())
    other, english = zip(*TATOEBA["deu"], strict=True)
    with Embedder(exported.int8) as model:
        vectors = [
            model.embed_queries(list(texts), task="Retrieve parallel sentences.")
            for texts in (other, english)
        ]
    named = nearest(*vectors)
    assert 100 * found["f1"] == pytest.approx(f1_items(named).mean(), abs=0.01)
    assert 100 * found["accuracy"] == pytest.approx(accuracy_items(named).mean(), abs=0.01)


class Recorder:
    """An Embedder that writes down how it was called."""

    def __init__(self, model: Embedder) -> None:
        self.manifest = model.manifest
        self.calls: list[Any] = []

    def encode(self, texts: list[str], *, role: str, task: str | None) -> Encoded:
        self.calls.append((texts, role, task))
        count = len(texts)
        return Encoded(np.eye(count, 8, dtype=np.float32), np.ones(count, np.int64), np.zeros(count, bool))


SIDES = [
    ("e5-instruct", "STSBenchmarkMultilingualSTS", None, ("query", "Retrieve semantically similar text.")),
    ("e5-instruct", "Tatoeba", None, ("query", "Retrieve parallel sentences.")),
    ("e5-instruct", "NFCorpus", "query",
     ("query", "Given a question, retrieve relevant documents that best answer the question")),
    ("e5-instruct", "NFCorpus", "document", ("document", None)),
    ("e5-prefix", "STSBenchmarkMultilingualSTS", None, ("raw", None)),
    ("e5-prefix", "NFCorpus", "query", ("query", None)),
    ("e5-prefix", "NFCorpus", "document", ("document", None)),
    ("plain", "NFCorpus", "query", ("query", None)),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "task", "side", "expected"), SIDES)
def test_each_side_gets_its_words(
    recipe: str, task: str, side: str | None, expected: tuple[str, str | None], exported
) -> None:
    import mteb
    from mteb.types import PromptType

    from e5_onnx.recipes import RECIPES

    model = encoder(exported.folder)
    recorder = Recorder(model._model)
    object.__setattr__(recorder.manifest, "recipe", RECIPES[recipe])
    model._model = recorder
    (metadata,) = [found.metadata for found in mteb.get_tasks(tasks=[task])]
    vectors = model.encode(
        [{"text": ["a", "b"]}, {"text": ["c"]}],
        task_metadata=metadata, hf_split="test", hf_subset="default",
        prompt_type=None if side is None else PromptType(side), batch_size=2,
    )  # fmt: skip
    assert vectors.shape == (3, 8)
    assert recorder.calls == [(["a", "b", "c"], *expected)]


def test_every_precision_has_a_name_and_a_revision_of_its_own(exported) -> None:
    from mteb.models import EncoderProtocol

    models = [encoder(folder) for folder in (exported.folder, exported.int8, exported.seven_bits)]
    assert all(isinstance(model, EncoderProtocol) for model in models)
    names = [(model.mteb_model_meta.name, model.mteb_model_meta.revision) for model in models]
    assert len(set(names)) == 3
    assert [name.rpartition("-")[2] for name, _ in names] == ["fp32", "int8", "int8"]
    assert models[0].mteb_model_meta.revision == models[0]._model.fingerprint


def test_the_command(
    exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from e5_onnx_perf import mteb_command

    monkeypatch.setattr(mteb_command, "_tasks", lambda *_given: [sts_task(), bitext_task()])
    words = ["mteb", str(exported.int8), "--tasks", "STS,Tatoeba", "--out", str(tmp_path / "found.json")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "| STSBenchmarkMultilingualSTS | test | de |" in printed
    assert "| Tatoeba | test | deu-eng |" in printed
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert found["model"].endswith("-int8")
    assert len(found["results"]) == 2


def test_unknown_tasks_and_missing_data(exported, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mteb", str(exported.folder), "--tasks", "Tatoebba"]) == 2
    assert "--tasks is 'Tatoebba'; it must be a task of mteb, such as Tatoeba" in capsys.readouterr().err
    assert main(["mteb", str(exported.folder), "--tasks", "STS12"]) == 1
    said = capsys.readouterr().err
    assert "mteb's task STS12 failed with" in said
    assert "must be in the cache of Hugging Face's datasets" in said


def test_mteb_is_asked_for_where_it_is_missing() -> None:
    code = (
        "import sys; sys.modules['mteb'] = None\n"
        "from e5_onnx.errors import MissingExtraError\n"
        "try: import e5_onnx_perf.mteb_encoder\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "mteb is not installed: `pip install 'e5-onnx[mteb]'`\n"
