"""`e5-perf speed`: workloads, measuring processes, and what is written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from browser import browser_page, needs_browser
from tokenizers import Tokenizer

from e5_onnx.errors import OptionError
from e5_onnx_perf.cli import main
from e5_onnx_perf.errors import DataError, WorkerError
from e5_onnx_perf.speed.cold_start import measure_cold_start
from e5_onnx_perf.speed.command import write_speed_results
from e5_onnx_perf.speed.engine import EngineSpec, import_engine
from e5_onnx_perf.speed.measure import Comparison, Measured, Round, Timing, spread, warmed_up
from e5_onnx_perf.speed.product import linear_shapes, product_graph
from e5_onnx_perf.speed.ratios import speed_ratio
from e5_onnx_perf.speed.scaling import measure_scaling
from e5_onnx_perf.speed.sharing import measure_sharing
from e5_onnx_perf.speed.speed_results import speed_results
from e5_onnx_perf.speed.texts import FreshTexts, TextMaker, real_streams, text_maker
from e5_onnx_perf.speed.workloads import USUAL, WORKLOADS, Workload, choose_workloads

SENTENCES = ("the moon is red and the river is wide", "a city by the sea", "bread and tea")


def spec(folder: Path, engine: str = "embedder", scratch: Path = Path("scratch")) -> EngineSpec:
    return EngineSpec(engine, str(folder), 1, str(scratch))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def maker(exported) -> TextMaker:
    return TextMaker(Tokenizer.from_file(str(exported.folder / "tokenizer.json")), SENTENCES)


def test_texts_have_the_lengths_asked_for(maker: TextMaker) -> None:
    lengths = [6, 16, 64, 128, 200]
    texts = maker.make(lengths, 3)
    assert maker.count(texts) == pytest.approx(lengths, abs=2)
    assert texts == maker.make(lengths, 3)
    assert len({tuple(maker.make(lengths, seed)) for seed in range(20)}) == len(SENTENCES)


def test_seeded_words_where_there_is_no_data(exported) -> None:
    maker = text_maker(exported.folder / "tokenizer.json", None)
    assert len(set(maker.sentences)) > 100
    assert maker.count(maker.make([40], 0)) == pytest.approx([40], abs=2)


def test_workloads() -> None:
    names = [workload.name for workload in WORKLOADS]
    assert len(names) == len(set(names))
    assert {f"{batch}x{length}" for batch in (1, 8, 32) for length in (16, 64, 128, 256, 512)} <= set(names)
    assert set(USUAL) <= set(names)
    (ragged,) = choose_workloads(["ragged"])
    (lengths,) = ragged.requests
    assert 6 <= min(lengths) < 20
    assert 150 < max(lengths) <= 512
    (stream,) = choose_workloads(["stream"])
    assert stream.timed_singly
    assert sum(len(request) == 1 for request in stream.requests) > len(stream.requests) / 2
    assert [one.name for one in choose_workloads(USUAL, ["paragraphs"])] == [
        "query", "1x16", "1x128", "32x32", "8x256", "ragged", "paragraphs",
    ]  # fmt: skip
    modes = {one.name: one.mode for one in choose_workloads(USUAL)}
    assert {name for name, mode in modes.items() if mode == "embedder"} == {"query", "1x16", "1x128"}
    with pytest.raises(OptionError, match=r"workloads is '9x9,slow'; it must be of query, 1x16"):
        choose_workloads(["query", "9x9", "slow"])


@pytest.mark.parametrize("engine", ["embedder", "callers", "graph", "cached"])
def test_our_own_engines_give_the_same_vectors(
    engine: str, exported, maker: TextMaker, tmp_path: Path
) -> None:
    texts = maker.make([8, 100, 30, 6, 256], 0)
    loaded = import_engine(spec(exported.folder, engine, tmp_path))()
    truth = import_engine(spec(exported.folder))().ready(texts)()
    assert np.abs(loaded.ready(texts)() - truth).max() <= 2e-6
    assert loaded.precision == "fp32"
    assert loaded.disk_bytes > 0
    assert ("throughput" in loaded.setting) == (engine == "callers")


def test_an_engine_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"absent: .*no model folder at"):
        measure_cold_start(spec(tmp_path / "absent"), files=[], rounds=1)


class Dying:
    """A worker that loaded and cannot embed."""

    process_id = os.getpid()

    def request(self, _message: object) -> dict[str, Any]:
        raise WorkerError("it", "it was killed by SIGILL")


def test_a_peer_that_dies_of_the_first_texts_is_absent(tmp_path: Path) -> None:
    asked = Round({"8x16": [["moon"]]}, {"8x16": 3})
    absent: dict[str, Any] = {}
    dying: Any = Dying()
    assert warmed_up([(spec(tmp_path, "llama.cpp"), dying)], asked, absent) == []
    assert absent == {"llama.cpp": "it was killed by SIGILL"}
    with pytest.raises(WorkerError, match="SIGILL"):
        warmed_up([(spec(tmp_path), dying)], asked, absent)


def test_cold_starts_and_scaling(exported, maker: TextMaker) -> None:
    files = [file for file in exported.folder.iterdir() if file.is_file()]
    found = measure_cold_start(spec(exported.folder), files=files, rounds=1)
    assert found.keys() == {"warm_s", "cold_s"}
    assert all(seconds > 0 for seconds in found.values())
    rows = measure_scaling(spec(exported.folder), [maker.make([16, 16], 0)], tokens=32, rounds=1)
    assert {(row["way"], row["cpus"]) for row in rows} >= {("threads", 1), ("callers", 1), ("processes", 1)}
    assert all(row["tokens_per_s"] > 0 for row in rows)


def test_processes_share_the_cache(exported, maker: TextMaker, tmp_path: Path) -> None:
    rows = measure_sharing(spec(exported.folder, scratch=tmp_path), [maker.make([16, 64], 0)])
    assert [(row["way"], row["processes"]) for row in rows] == [
        ("own copies", 1), ("own copies", 2), ("shared cache", 1), ("shared cache", 2),
    ]  # fmt: skip
    for row in rows:
        assert 0 < row["anonymous_mb"] <= row["pss_mb"] <= row["resident_mb"]
    assert (tmp_path / "packed").is_dir()


def test_the_command(
    exported, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("e5_onnx_perf.peers.llama_cpp_q8", "e5_onnx_perf.peers.gguf_file"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "gguf", None)
    words = [
        "speed", exported.int8, exported.folder, "--workloads", "query,1x16,8x16", "--rounds", "1", "--quick",
        "--peers", "llama.cpp", "--checkpoint", exported.checkpoint, "--threads", "1",
        "--out", tmp_path / "out",
    ]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    values = json.loads((tmp_path / "out" / "speed.json").read_text("utf-8"))
    names = [
        "folder-int8", "folder-int8 (throughput)", "folder-int8 (graph alone)",
        "folder-int8 (bare integer product)", "folder",
    ]  # fmt: skip
    assert [row["engine"] for row in values["memory"]] == names
    keys = {"engine", "precision", "workload", "tokens_per_s", "texts_per_s", "p50_ms", "p95_ms", "p99_ms",
            "cosine_to_fp32", "ratio_to_torch"}  # fmt: skip
    assert all(row.keys() >= keys for row in values["results"])
    held = {"engine", "load_s", "resident_mb", "anonymous_mb", "peak_mb", "disk_mb"}
    assert all(row.keys() >= held for row in values["memory"])
    for row in values["memory"]:
        assert row["peak_mb"] >= row["resident_mb"] > row["libraries_mb"] > 0
        assert row["load_s"] > 0 < row["import_s"]
    assert len(values["results"]) == 3 * 5
    by = {(row["engine"], row["workload"]): row for row in values["results"]}
    assert by["folder", "query"]["p50_ms"] <= by["folder", "query"]["p99_ms"]
    assert by["folder", "1x16"]["p50_ms"] is None
    assert by["folder", "1x16"]["cosine_to_fp32"] == pytest.approx(1)
    assert 0.9 < by["folder-int8", "1x16"]["cosine_to_fp32"] < 1
    assert values["absent"] == [
        {"engine": "llama.cpp", "reason": "gguf is not installed: `pip install 'e5-onnx[llama-cpp]'`"}
    ]
    assert values["machine"]["threads"] == 1
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out" / "speed.md").read_text("utf-8")
    assert "- llama.cpp is absent: " in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--peers", "hare"], "--peers is 'hare'; it must be of torch,"),
        (["--peers", "torch"], "--checkpoint is missing; it must be given with `--peers`"),
        (["--checkpoint", "."], "--checkpoint is '.'; it must be a Hugging Face folder, with config.json"),
        (["--rounds", "-1"], "--rounds is -1; it must be at least 1"),
        (["--workloads", "x"], "--workloads is 'x'; it must be of query"),
    ],
)
def test_wrong_options(
    words: list[str], message: str, tiny_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["speed", str(tiny_folder), "--out", "out", *words]) == 2
    assert message in capsys.readouterr().err


def measured(name: str, seconds: list[float], *, precision: str = "int8", cosine: float = 1.0) -> Measured:
    vectors = {"8x16": np.array([[cosine, (1 - cosine**2) ** 0.5]] * 2, np.float32)}
    if name == "product":
        vectors = {"8x16": np.empty((2, 0), np.float32)}
    timing = Timing([[own] for own in seconds], [own * 2 for own in seconds], [100] * len(seconds))
    held = {"resident_mb": 300.0, "anonymous_mb": 200.0, "peak_mb": 310.0}
    loaded = {
        "precision": precision,
        "setting": "2 threads",
        "tokenizer": "tokie",
        "disk_mb": 159.0,
        "memory": held,
    }
    loaded |= {"import_s": 0.5, "load_s": 0.25, "libraries_mb": 60.0}
    engine: Any = name if name in ("torch", "optimum-int8", "product") else "embedder"
    return Measured(EngineSpec(engine, name, 2, "x"), loaded, 500.0, {"8x16": timing}, vectors)


def compared(others: float) -> dict[str, Any]:
    engines = [
        measured("int8", [1.0, 2.0, 4.0] * 2, cosine=0.99),
        measured("torch", [3.0, 5.0, 16.0] * 2, precision="fp32"),
        measured("optimum-int8", [0.5, 1.0, 2.0] * 2, cosine=0.98),
        measured("product", [0.25, 0.5, 1.0] * 2),
    ]
    workload = Workload("8x16", ((16,) * 8,))
    return speed_results(Comparison(engines, {"openvino": "it is not installed"}, others), [workload],
                    threads=2, rounds=3, command="e5-perf speed int8")  # fmt: skip


@pytest.fixture
def values() -> dict[str, Any]:
    found = compared(0.1)
    sums = {"pss_mb": 410.0, "resident_mb": 600.0, "anonymous_mb": 90.0, "load_s": 0.2}
    return {
        **found,
        "cold_start": [],
        "sharing": [{"way": "shared cache", "processes": 2, **sums}],
        "scaling": [{"way": "threads", "cpus": 2, "tokens_per_s": 50.0}],
    }


def test_spread_by_hand() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx((4 - 2) / 2 / 3)


def test_ratios_are_those_of_the_rounds(values: dict[str, Any]) -> None:
    ours, torch, optimum, product = values["results"]
    assert ours["tokens_per_s"] == 50
    assert ours["texts_per_s"] == 4
    # Round by round 3, 2.5 and 4: the median, and not the ratio of the medians.
    assert ours["ratio_to_torch"] == 3
    assert torch["ratio_to_torch"] == 1
    assert ours["cosine_to_fp32"] == pytest.approx(0.99)
    assert ours["cpu_s_per_1000_texts"] == 500
    assert [row["ratio"] for row in (ours, torch, optimum)] == [1, 3, 0.5]
    assert [row["verdict"] for row in (ours, torch, optimum)] == ["level", "ahead", "behind"]
    assert (torch["ratio_low"], torch["ratio_high"]) == (2.5, 4)
    assert [row["share_of_product"] for row in values["results"]] == [0.25, pytest.approx(0.083), 0.5, 1]
    assert product["cosine_mean"] is None
    assert "torch" in torch["version"] or not torch["version"]


def test_the_frontier_names_what_is_faster_and_less_exact(values: dict[str, Any]) -> None:
    (row,) = values["frontier"]
    assert row["agree"] == ["torch"]
    assert row["faster_less_exact"] == ["optimum-int8", "int8"]
    assert (row["judged"], row["rival"], row["ratio"], row["verdict"]) == ("int8", "torch", 3, "ahead")
    assert row["share_of_product"] == 0.25


def test_nothing_is_said_of_a_busy_machine() -> None:
    assert {row["verdict"] for row in compared(0.3)["results"]} == {"busy machine"}


def test_the_interval_of_seven_rounds_by_hand() -> None:
    # At least four of seven draws are the lowest with a chance of .010, at most the second with .099: so the
    # 2.5th percentile of the medians is the second round's ratio, and by symmetry the other is the sixth's.
    found = speed_ratio([1.0] * 7, [1.3, 1.1, 1.0, 1.2, 1.6, 1.4, 1.5])
    assert (found.median, found.low, found.high) == (1.3, 1.1, 1.5)
    assert found.verdict == "ahead"
    assert speed_ratio([1.0] * 6, [0.9, 1.0, 1.1] * 2).verdict == "level"
    assert speed_ratio([1.0] * 5, [2.0] * 5).verdict == "too few rounds"
    assert speed_ratio([1.0] * 2, [1.0, 2.0]).median == 1.5


@pytest.mark.reference
def test_the_interval_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    ratios = np.random.default_rng(1).normal(1.2, 0.1, 15)
    found = speed_ratio([1.0] * 15, ratios.tolist())
    theirs = stats.bootstrap(
        (ratios,), np.median, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


def test_no_text_is_given_twice(maker: TextMaker) -> None:
    fresh = FreshTexts(maker, {"paragraphs": ["a moon", "a river", "tea"]})
    texts = [*fresh.make([6, 9]), *fresh.make([6, 9])]
    assert len(set(texts)) == len(texts)
    real = [*fresh.take("paragraphs", 3), *fresh.take("paragraphs", 5)]
    assert real[:4] == ["a moon", "a river", "tea", "a moon a river"]
    assert len(set(real)) == 8
    with pytest.raises(DataError, match="3 are too few for rounds of texts that no engine has seen"):
        fresh.take("paragraphs", 2)


def test_real_streams(tmp_path: Path) -> None:
    (own,) = real_streams(None).values()
    assert len(own) > 100
    assert all(text.strip() for text in own)
    assert "sts-b" not in real_streams(tmp_path)


def test_the_bare_product_is_that_of_the_linears(exported, maker: TextMaker) -> None:
    config = json.loads((exported.checkpoint / "config.json").read_text("utf-8"))
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    layer = [(hidden, 3 * hidden), (hidden, hidden), (hidden, wide), (wide, hidden)]
    shapes = linear_shapes(exported.int8 / "model.onnx")
    assert sorted(shapes) == sorted(layer * config["num_hidden_layers"])
    onnx.checker.check_model(product_graph(shapes), full_check=True)
    loaded = import_engine(spec(exported.int8, "product"))()
    assert loaded.ready(maker.make([8, 16], 0))().shape == (2, 0)


def test_what_is_written(values: dict[str, Any], tmp_path: Path) -> None:
    table = write_speed_results(values, tmp_path)
    assert "| int8 | 0.99000 | 50 |" in table
    assert "(3.00x, 2.50 to 4.00)" in table
    assert "| 8x16 | int8 | torch | 3.00x, 2.50 to 4.00 | ahead | optimum-int8, int8 | 25% |" in table
    assert "| 0.50 | 0.25 | 60 | 300 | 200 | 500 | 159 |" in table
    assert "- 2 processes, shared cache: 410 MB together (PSS), 90 MB of it heap, loaded in 0.20 s" in table
    assert "- openvino is absent: it is not installed" in table
    page = (tmp_path / "speed.html").read_text("utf-8")
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert "Other programs took 10% of the CPU time" in page
    assert page.count("<svg") == 2


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (380, "dark")])
def test_the_page_in_a_browser(values: dict[str, Any], width: int, scheme: str, tmp_path: Path) -> None:
    write_speed_results(values, tmp_path)
    with browser_page(width=width, scheme=scheme) as opened:
        opened.goto((tmp_path / "speed.html").as_uri())
        assert opened.evaluate("document.documentElement.scrollWidth") == width
        opened.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 10_000
