"""`e5-perf bulk-throughput` on a small model: it reports what happened."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from e5_onnx_perf.bulk_runs import rate_command
from e5_onnx_perf.bulk_runs.corpus import read_texts, write_corpus
from e5_onnx_perf.bulk_runs.embed_process import EmbedCommand, watch
from e5_onnx_perf.bulk_runs.timed_engine import TimedEngine
from e5_onnx_perf.cli import main
from e5_onnx_perf.errors import WorkerError


def test_the_corpus(exported, tmp_path: Path) -> None:
    file = tmp_path / "corpus.parquet"
    write_corpus(file, 50, model=exported.folder, data=None)
    table = pq.read_table(file)
    assert table.column("doc").to_pylist() == [f"d{number}" for number in range(50)]
    assert read_texts(file, 3) == table.column("text").to_pylist()[:3]
    assert all(table.column("text").to_pylist())


def test_the_rate(
    exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rate_command, "_SHARD_ROWS", 10)
    monkeypatch.setattr(rate_command, "_GRAPH_ROWS", 30)
    words = [
        "bulk-throughput",
        str(exported.folder),
        "--rows",
        "60",
        "--rounds",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 0
    values = json.loads((tmp_path / "out" / "bulk.json").read_text("utf-8"))
    assert values["rows"] == 60
    assert values["tokens"] > 120
    assert values["ratio_to_graph"] > 0
    assert values["tokens_per_s"] == pytest.approx(values["tokens"] / values["seconds"][0], rel=0.02)
    assert values["memory"]["resident_peak_mb"] > 20
    assert f"60 rows, {values['tokens']:,} tokens" in capsys.readouterr().out


def test_a_failing_command_is_said(exported, tmp_path: Path) -> None:
    command = EmbedCommand(exported.folder, tmp_path / "none.parquet", tmp_path / "out", 10)
    with pytest.raises(WorkerError, match=r"none\.parquet"):
        watch(command)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bulk-throughput", "--rows", "1"], "--rows is 1; it must be at least 2000"),
        (["bulk-throughput", "--rounds", "0"], "--rounds is 0; it must be at least 1"),
        (["cluster-overhead", "--rows", "5"], "--rows is 5; it must be at least 4000"),
        (["cluster-overhead", "--rounds", "0"], "--rounds is 0; it must be at least 1"),
    ],
)
def test_wrong_options(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([words[0], "folder", *words[1:]]) == 2
    assert message in capsys.readouterr().err


def test_rates_with_and_without_the_start() -> None:
    engine = TimedEngine(lambda *_: iter(()), lanes=2)
    engine.started, engine.done = 0.0, [(4.0, 10), (5.0, 10), (6.0, 20), (9.0, 20)]
    assert engine.start_seconds == 4
    assert engine.whole_rate == pytest.approx(60 / 9)
    assert engine.steady_rate == pytest.approx(40 / 4)
    assert engine.seconds_a_shard == pytest.approx(4 / 2)


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_cluster(
    exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from e5_onnx_perf.bulk_runs import cluster_command

    monkeypatch.setattr(cluster_command, "_SHARD_ROWS", 5)
    monkeypatch.setattr(cluster_command, "_TINY_SHARDS", 6)
    ways = cluster_command.WAYS
    monkeypatch.setattr(cluster_command, "WAYS", (ways[0], ways[1], ways[4]))
    words = [
        "cluster-overhead",
        str(exported.folder),
        "--rows",
        "40",
        "--rounds",
        "1",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(words) == 0
    rows = json.loads((tmp_path / "out" / "cluster.json").read_text("utf-8"))["ways"]
    assert [row["nodes"] for row in rows] == [[], [], [1, 1]]
    assert all(row["steady_tokens_per_s"] > 0 for row in rows)
    assert rows[1]["steady_ratio_to_one_process"] == 1
    assert "| Ray, two nodes of 1 CPU |" in capsys.readouterr().out
