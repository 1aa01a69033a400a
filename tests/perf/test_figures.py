from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from e5_onnx_perf.cli import main
from e5_onnx_perf.engines import EngineName, import_engine
from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.figures.command import table
from e5_onnx_perf.figures.measure import Comparison, Figures, measure, spread
from e5_onnx_perf.figures.worker_process import Contestant, Worker
from e5_onnx_perf.figures.workloads import WORKLOADS, Draw, Workload
from e5_onnx_perf.machine_load import busy_seconds, share_of_others

WORDS = 300


def test_batches_are_what_their_names_say() -> None:
    shapes = {work.name: work.batch(0, WORDS)[1] for work in WORKLOADS}
    assert shapes["1x16"].sum() == 16
    assert shapes["1x128"].sum() == 128
    assert shapes["32x32"].sum() == 32 * 32
    assert shapes["8x256"].shape == (8, 256)
    assert shapes["8x256"].sum() == 8 * 256
    ragged = shapes["16x128 ragged"].sum(axis=1)
    assert len(ragged) == 16
    assert 4 <= ragged.min() < ragged.max() <= 128


def test_words_are_of_the_vocabulary() -> None:
    ids, mask = Draw("8x256", 0, WORDS).batch()
    assert set(ids[:, 0]) == {0}
    assert set(ids[:, -1]) == {2}
    assert ids[:, 1:-1].min() >= 4
    assert 290 < ids.max() < WORDS
    assert mask.all()


def test_seeds_change_the_words_and_not_the_shape() -> None:
    first, again, other = (Draw("1x16", seed, WORDS).batch()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape
    assert not np.array_equal(first, other)


def test_figures_of_a_batch() -> None:
    assert Workload("a", (10, 30), "ms").figure(0.5) == 500
    assert Workload("a", (10, 30), "tokens/s").figure(0.5) == 80


def test_spread_by_hand() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((4 - 2) / 2 / 3)


def test_busy_seconds_leave_out_idle_time(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    # user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice
    stat.write_text("cpu  100 10 20 9000 800 1 2 3 50 5\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    at_once = 100 + 10 + 20 + 1 + 2 + 3
    second = tmp_path / "second"
    second.write_text("cpu  200 10 20 9900 900 1 2 3 50 5\n")
    assert busy_seconds(second) - busy_seconds(stat) == pytest.approx(100 / at_once * busy_seconds(stat))


def test_what_other_programs_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert share_of_others(busy=30, ours=10, elapsed=10) == pytest.approx(0.5)
    # The kernel counts in ticks: ours can seem more than all.
    assert share_of_others(busy=9.99, ours=10, elapsed=10) == 0


def figures(name: str, milliseconds: float, *, cosine: float | None) -> Figures:
    return Figures(
        name=name,
        import_s=0.5,
        libraries_mb=60,
        load_s=0.25,
        resident_mb=300,
        anonymous_mb=200,
        peak_mb=700,
        cosine_min=cosine,
        workloads={
            work.name: milliseconds if work.unit == "ms" else 800 / milliseconds for work in WORKLOADS
        },
        spread={work.name: 0.031 for work in WORKLOADS},
    )


def test_the_table_compares_with_its_last_row() -> None:
    rows = [figures("session new", 20, cosine=0.99991), figures("torch old", 80, cosine=None)]
    text = table(Comparison(rows, 0.01), 2)
    assert "| session new | 0.50 | 60 | 0.25 | 300 | 200 | 700 | 0.9999 | 20.0 ±3% (4.00x) |" in text
    assert "| 40 ±3% (4.00x) |" in text
    assert "| torch old | 0.50 | 60 | 0.25 | 300 | 200 | 700 | - | 80.0 ±3% (1.00x) |" in text
    assert text.endswith("Other programs took 1% of the machine's CPU time.\n")


def test_a_busy_machine_is_said_to_be() -> None:
    text = table(Comparison([figures("session new", 20, cosine=1)], 0.4), 2)
    assert "Other programs took 40% of the machine's CPU time. That is too much" in text


def test_engines_take_turns(exported, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["figures", str(exported.folder), "--rounds", "2", "--threads", "1"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["threads"] == 1
    assert found["others_cpu"] >= 0
    assert [row["name"] for row in found["results"]] == ["session folder", "embedder folder"]
    for row in found["results"]:
        assert set(row["workloads"]) == set(row["spread"]) == {work.name for work in WORKLOADS}
        assert min(row["workloads"].values()) > 0
        assert row["cosine_min"] == pytest.approx(1)
        assert row["peak_mb"] >= row["resident_mb"] > 0
        assert row["libraries_mb"] > 0


def test_the_graphs_alone(exported, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", str(exported.folder), "--rounds", "1", "--no-embedder"]) == 0
    text = capsys.readouterr().out
    assert "| session folder |" in text
    # One round has no spread.
    assert "±" not in text
    assert "embedder" not in text


@pytest.mark.reference
def test_torch_computes_the_same(exported, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["figures", str(exported.folder), "--checkpoint", str(exported.checkpoint), "--no-embedder"]
    assert main([*arguments, "--rounds", "1", "--threads", "1", "--json"]) == 0
    session, torch = json.loads(capsys.readouterr().out)["results"]
    assert torch["name"] == "torch checkpoint"
    assert session["cosine_min"] > 1 - 1e-6
    assert torch["libraries_mb"] > session["libraries_mb"]


@pytest.mark.parametrize("engine", [name for name in get_args(EngineName) if name != "torch"])
def test_a_worker_that_cannot_load_says_why(engine: EngineName, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=f"{engine} absent: .*no model folder at"):
        measure([Contestant(engine, tmp_path / "absent")], threads=1, rounds=1)


def test_a_batch_that_fails_is_reported(tiny_folder: Path) -> None:
    # It takes 128 tokens, and the longest workload has 256.
    with pytest.raises(WorkerError, match=r"session tiny_e5: .*onnxruntime failed on a batch"):
        measure([Contestant("session", tiny_folder)], threads=1, rounds=1)


def test_a_worker_that_died_between_jobs(tiny_folder: Path) -> None:
    with Worker(Contestant("session", tiny_folder), 1) as worker:
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(WorkerError, match=r"session tiny_e5: it was killed by SIGKILL"):
            worker.ask("time", Draw("1x16", 0, WORDS))


def test_torch_is_asked_for_where_it_is_missing() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from e5_onnx_perf.engines import import_engine\n"
        "from e5_onnx.errors import MissingExtraError\n"
        "try: import_engine('torch')\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "torch is not installed: `pip install 'e5-onnx[reference]'`\n"


def test_engines_are_imported_by_name(exported) -> None:
    engine = import_engine("session")(exported.folder, 1)
    vectors = engine.encode(*Draw("1x16", 0, engine.vocabulary).batch())
    assert vectors.shape == (1, 32)
    assert np.linalg.norm(vectors) == pytest.approx(1, abs=1e-5)
