"""`e5-perf accuracy`: what it writes, what it keeps, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_data import add_file, write_data, write_questions

from e5_onnx_perf.accuracy import folder_model
from e5_onnx_perf.accuracy.observations import ObservationStore
from e5_onnx_perf.cli import main

ROW = {"task", "language", "metric", "n", "reference", "candidate", "delta", "ci_low", "ci_high"}
SUMMARY = ROW - {"language", "n"} | {"worst_language", "verdict"}
FIDELITY = {"cosine_mean", "cosine_min", "centred_cosine_mean", "overlap_at_10"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with data and questions, and a cache of its own."""
    write_data(tmp_path / "data")
    write_questions(tmp_path / "things.en.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measure(*arguments: object) -> dict[str, Any]:
    words = [*map(str, arguments), "--out", "out", "--data", "data", "--cache", "cache", "--resamples", "200"]
    assert main(["accuracy", *words]) == 0
    values: dict[str, Any] = json.loads(Path("out/accuracy.json").read_text("utf-8"))
    return values


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    words = [*map(str, arguments), "--out", "out", "--cache", "cache"]
    code = main(["accuracy", *words])
    return code, capsys.readouterr().err


def test_everything_at_once(exported, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = measure(
        exported.folder, exported.int8, "--languages", "de,en,sw", "--retrieval", "things.en.json"
    )
    (candidate,) = values["candidates"]
    assert (values["reference"]["precision"], candidate["precision"]) == ("fp32", "int8")
    assert candidate["size_bytes"] < values["reference"]["size_bytes"]
    assert candidate["fidelity"].keys() >= FIDELITY
    assert candidate["fidelity"]["cosine_mean"] > 0.99
    assert candidate["fidelity"]["alone_against_batch_max_abs"] <= 1e-6
    assert all(row.keys() == ROW for row in candidate["tasks"])
    found = {(row["task"], row["language"], row["metric"]): row["n"] for row in candidate["tasks"]}
    assert found == {
        **{("sts", language, "spearman"): 6 for language in ("de", "en")},
        **{("bitext", way, metric): 5 for way in ("deu-eng", "eng-deu") for metric in ("accuracy", "f1")},
        **{("bitext", way, metric): 4 for way in ("swh-eng", "eng-swh") for metric in ("accuracy", "f1")},
        **{("retrieval", "en", metric): 5 for metric in ("ndcg@10", "hit@1", "mrr@10")},
    }
    assert all(row.keys() >= SUMMARY for row in candidate["summary"])
    for row in candidate["tasks"]:
        assert -100 <= row["candidate"] <= 100
        assert row["delta"] == pytest.approx(row["candidate"] - row["reference"], abs=2e-4)
        assert row["ci_low"] <= row["ci_high"]
    assert values["seed"] == 0
    assert {entry["task"] for entry in values["data"]} == {"fidelity", "sts", "bitext", "retrieval"}
    assert (
        values["instructions"]["sts"] == ["Instruct: Retrieve semantically similar text.\nQuery: {text}"] * 2
    )
    printed = capsys.readouterr().out
    assert printed == Path("out/accuracy.md").read_text("utf-8")
    assert "| folder-int8 | sts | spearman | 2 |" in printed
    page = Path("out/accuracy.html").read_text("utf-8")
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert page.count("<svg") == 4
    assert str(place) not in page + json.dumps(values)


def test_the_same_model_twice_differs_in_nothing(exported, place: Path) -> None:
    copy = shutil.copytree(exported.folder, place / "copy")
    values = measure(exported.folder, copy, "--tasks", "sts,bitext,fidelity", "--languages", "de")
    (candidate,) = values["candidates"]
    assert all(row["delta"] == row["ci_low"] == row["ci_high"] == 0 for row in candidate["tasks"])
    assert {row["verdict"] for row in candidate["summary"]} == {"holds"}
    assert candidate["fidelity"]["overlap_at_10"] == 1
    assert candidate["fidelity"]["cosine_min"] == pytest.approx(1)


def test_only_what_is_new_is_embedded(exported, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = folder_model._load

    def noted(folder: Path, threads: int | None) -> Any:
        loaded.append(folder.name)
        return load(folder, threads)

    monkeypatch.setattr(folder_model, "_load", noted)
    first = measure(exported.folder, exported.folder, "--tasks", "sts", "--languages", "de")
    assert loaded == ["folder"]
    again = measure(exported.folder, exported.folder, "--tasks", "sts", "--languages", "de")
    assert loaded == ["folder"]
    assert again == first
    measure(exported.folder, exported.int8, "--tasks", "sts", "--languages", "de")
    assert loaded == ["folder", "folder-int8"]
    # What is written around the texts is part of what is kept, and so are the texts.
    measure(exported.folder, exported.folder, "--tasks", "sts", "--languages", "de,en", "--limit", "4")
    assert loaded == ["folder", "folder-int8", "folder"]


def test_an_interrupted_run_goes_on(exported, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [exported.folder, exported.int8, "--tasks", "sts", "--languages", "de,en"]
    keep = ObservationStore.keep
    kept: list[Any] = []

    def interrupted(store: ObservationStore, identity: str, digest: str, observation: Any) -> None:
        if len(kept) == 1:
            raise KeyboardInterrupt
        keep(store, identity, digest, observation)
        kept.append((identity, digest))

    with monkeypatch.context() as patch:
        patch.setattr(ObservationStore, "keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure(*arguments)
    seen: list[Any] = []

    def noted(store: ObservationStore, identity: str, digest: str, observation: Any) -> None:
        seen.append((identity, digest))
        keep(store, identity, digest, observation)

    monkeypatch.setattr(ObservationStore, "keep", noted)
    measure(*arguments)
    assert len(seen) == 3
    assert kept[0] not in seen


def test_half_an_observation_is_none(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path / "store")
    store.keep("model", "unit", {"cosine": np.arange(500.0)})
    found = store.find("model", "unit")
    assert found is not None
    assert found["cosine"].tolist() == list(range(500))
    assert store.find("model", "other") is None
    (file,) = (tmp_path / "store").rglob("*.npz")
    file.write_bytes(file.read_bytes()[:700])
    assert store.find("model", "unit") is None
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        store.keep("model", "objects", {"wrong": np.array([object()])})
    assert not list((tmp_path / "store").rglob("*.part"))


def test_conventions_and_limits(exported, place: Path) -> None:
    values = measure(exported.folder, exported.int8, "--tasks", "bitext", "--languages", "de", "--limit", "3",
                     "--convention", "reproduction", "--margin", "2,4", "--seed", "5")  # fmt: skip
    assert {row["n"] for row in values["candidates"][0]["tasks"]} == {3}
    assert values["margin"] == {"average": 2, "language": 4}
    assert values["candidates"][0]["fidelity"] == {}
    assert "--convention reproduction --margin 2,4 --seed 5" in values["command"]


def test_fidelity_alone_takes_the_texts_of_sts(exported, place: Path) -> None:
    values = measure(exported.folder, exported.int8, "--tasks", "fidelity", "--languages", "de")
    (candidate,) = values["candidates"]
    assert candidate["summary"] == candidate["tasks"] == []
    assert [row["group"] for row in candidate["fidelity"]["by_language"]] == ["de"]
    # Twelve sentences, and some of them joined to longer texts.
    assert candidate["fidelity"]["texts"] > 12
    assert len(candidate["fidelity"]["by_length"]) > 1
    assert len(candidate["fidelity"]["worst_texts"]) == 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--languages", "xx"], "--languages is 'xx'; it must be a code"),
        (["--tasks", "sts", "--languages", "sw"], "--languages is 'sw'; it must be such that sts has one"),
        (["--tasks", "sts,speed"], "--tasks is 'sts,speed'; it must be one or more of fidelity,sts"),
        (["--tasks", "retrieval"], "--tasks is 'retrieval'; it must be given with --retrieval"),
        (["--tasks", "sts", "--retrieval", "things.en.json"], "--tasks is 'sts'; it must be with retrieval"),
        (["--limit", "1"], "--limit is 1; it must be at least 2"),
        (["--resamples", "1"], "--resamples is 1; it must be at least 100"),
        (["--seed", "-1"], "--seed is -1; it must be at least 0"),
        (["--margin", "wide"], "--margin is 'wide'; it must be AVERAGE"),
    ],
)
def test_wrong_options_are_usage_errors(
    words: list[str], message: str, exported, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = fails(capsys, exported.folder, exported.int8, "--data", "data", *words)
    assert code == 2
    assert message in said


def test_models_that_cannot_be_compared(exported, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(shutil.copytree(exported.folder, place / "other"))
    manifest = json.loads((other / "e5.json").read_text("utf-8"))
    wider = manifest | {"dimension": 64, "architecture": manifest["architecture"] | {"hidden": 64}}
    (other / "e5.json").write_text(json.dumps(wider), "utf-8")
    code, said = fails(capsys, exported.folder, other, "--data", "data")
    assert code == 1
    assert "folder and other cannot be compared: their dimension is 32 and 64" in said
    manifest["recipe"] |= {"name": "plain", "query_template": "{text}", "default_task": None}
    (other / "e5.json").write_text(json.dumps(manifest), "utf-8")
    code, said = fails(capsys, exported.folder, other, "--data", "data")
    assert code == 1
    assert "folder and other cannot be compared: their recipe is" in said
    assert fails(capsys, exported.folder, "absent")[1].startswith("e5-perf: error: no model folder at absent")


def test_data_that_is_not_there_or_malformed(
    exported, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [exported.folder, exported.int8]
    assert "absent: there is no such folder" in fails(capsys, *models, "--data", "absent")[1]
    add_file(place / "data", "stsb/stsb-de-test.csv", "A.,B.,1\nA.,B.,high\n")
    code, said = fails(capsys, *models, "--data", "data", "--languages", "de")
    assert code == 1
    assert "stsb/stsb-de-test.csv, line 2: the score is 'high'" in said
    add_file(place / "data", "stsb/stsb-de-test.csv", "A.,B.,1\nC.,D.,1\n")
    code, said = fails(capsys, *models, "--data", "data", "--languages", "de", "--tasks", "sts")
    assert "all its 2 scores are 1.0: nothing can be put in order" in said


def test_a_full_disk_is_named(
    exported, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device", "cache/observations")

    monkeypatch.setattr(ObservationStore, "keep", full)
    models = [exported.folder, exported.int8]
    code, said = fails(capsys, *models, "--data", "data", "--languages", "de", "--tasks", "sts")
    assert code == 1
    assert "No space left on device: 'cache/observations'" in said


def test_folders_of_one_name_are_told_apart(exported, place: Path) -> None:
    copies = [shutil.copytree(exported.folder, place / name / "model") for name in ("a", "b")]
    values = measure(*copies, "--tasks", "sts", "--languages", "de")
    assert [values["reference"]["name"], values["candidates"][0]["name"]] == ["a/model", "b/model"]


@pytest.mark.reference
@pytest.mark.parametrize("kind", ["torch", "st"])
def test_a_checkpoint_is_the_reference(kind: str, exported, place: Path) -> None:
    values = measure(f"{kind}:{exported.checkpoint}", exported.folder, "--tasks", "sts,fidelity",
                     "--languages", "de,en")  # fmt: skip
    assert values["reference"]["precision"] == "fp32"
    (candidate,) = values["candidates"]
    assert candidate["fidelity"]["cosine_min"] > 1 - 1e-6
    assert all(abs(row["delta"]) < 0.01 for row in candidate["tasks"])


@pytest.mark.reference
def test_a_checkpoint_without_a_folder_beside_it(exported, place: Path, capsys, monkeypatch) -> None:
    spec = f"torch:{exported.checkpoint}"
    code, said = fails(capsys, spec, spec, "--data", "data")
    assert (code, "its recipe must be given" in said) == (1, True)
    code, said = fails(capsys, exported.folder, "st:demo", "--data", "data")
    assert "st: is 'demo'; it must be a folder or a hub id" in said


def test_identities_name_what_decides_vectors(exported) -> None:
    model = folder_model.open_model_folder(exported.folder, threads=None)
    assert model.fingerprint
    assert model.fingerprint in model.identity
    assert "onnxruntime" in model.identity
    assert replace(model, name="x").identity == model.identity
