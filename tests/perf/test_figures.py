from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from e5_onnx_perf.cli import main
from e5_onnx_perf.errors import ToolMissingError, WorkerError
from e5_onnx_perf.exactness import command as exact_command
from e5_onnx_perf.figures.measure import Contestant, Worker, measure
from e5_onnx_perf.figures.workloads import WORKLOADS, Workload


def test_batches_are_what_their_names_say() -> None:
    shapes = {work.name: work.batch(0)[1] for work in WORKLOADS}
    assert shapes["1x16"].sum() == 16
    assert shapes["8x256"].shape == (8, 256)
    assert shapes["8x256"].sum() == 8 * 256
    ragged = shapes["16x128 ragged"].sum(axis=1)
    assert len(ragged) == 16
    assert 4 <= ragged.min() < ragged.max() <= 128


def test_seeds_change_the_words_and_not_the_shape() -> None:
    work = WORKLOADS[0]
    assert not np.array_equal(work.batch(0)[0], work.batch(1)[0])
    np.testing.assert_array_equal(work.batch(2)[0], work.batch(2)[0])


def test_figures_of_a_batch() -> None:
    assert Workload("a", (10, 30), "ms").figure(0.5) == 500
    assert Workload("a", (10, 30), "tokens/s").figure(0.5) == 80


def test_workers_load_and_report_memory(tiny_folder: Path) -> None:
    with Worker(Contestant("session", tiny_folder), 1) as worker:
        assert worker.loaded["load_s"] > 0
        assert worker.loaded["memory"]["resident_mb"] >= worker.loaded["before"]["resident_mb"] > 0


@pytest.mark.parametrize("engine", ["session", "embedder"])
def test_a_worker_that_cannot_load_says_why(engine: str, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=f"{engine} absent: .*(no model folder|cannot be loaded)"):
        measure([Contestant(engine, tmp_path / "absent")], threads=1, rounds=1)


def test_a_batch_that_fails_is_reported(tiny_folder: Path) -> None:
    # Words of XLM-R's vocabulary are out of the tiny model's.
    with pytest.raises(WorkerError, match=r"session tiny_e5: .*onnxruntime failed on a batch"):
        measure([Contestant("session", tiny_folder)], threads=1, rounds=1)


def test_qemu_is_asked_for(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exact_command.shutil, "which", lambda _name: None)
    assert main(["exact", str(tiny_folder)]) == 1
    assert "qemu-x86_64 is not installed: it is in Debian's package qemu-user" in capsys.readouterr().err
    assert issubclass(ToolMissingError, OSError)


def test_arena(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["arena", str(tiny_folder), "--batches", "10", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["batches"] == 10
    assert facts["ratchets"] is (facts["growth"] > 1.05)
    main(["arena", str(tiny_folder), "--batches", "4"])
    assert "| 1 to 1 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["arena", "folder", "--batches", "1"],
        ["figures", "folder", "--rounds", "0"],
        ["make-checkpoint", "out", "--outliers", "20"],
    ],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("e5-perf: error: ")


@pytest.mark.parametrize("command", ["make-checkpoint", "sts", "figures", "arena", "exact"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"example:\n  e5-perf {command} " in capsys.readouterr().out


@pytest.mark.real
@pytest.mark.slow
def test_a_stress_checkpoint_is_exported_and_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from e5_onnx_export import ExportRequest, RecipeRequest, export

    checkpoint, folder = tmp_path / "stress", tmp_path / "folder"
    assert main(["make-checkpoint", str(checkpoint), "--from", "demo", "--outliers", "20"]) == 0
    recipe = RecipeRequest("e5-prefix")
    report = export(ExportRequest(str(checkpoint), folder, recipe=recipe, reference="numpy"))
    assert report.parity.checked
    capsys.readouterr()
    assert main(["figures", str(folder), "--rounds", "1", "--no-embedder", "--json", "--threads", "2"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert row["name"] == "session folder"
    assert set(row["workloads"]) == {work.name for work in WORKLOADS}
    assert all(value > 0 for value in row["workloads"].values())
    assert main(["figures", str(folder), "--rounds", "1", "--threads", "1"]) == 0
    assert "| embedder folder |" in capsys.readouterr().out
