"""`e5-perf server-load`: a real server under a short load, and what counts as harm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE_S

from e5_onnx import Embedder
from e5_onnx_perf.cli import main
from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.serve_load import abuse as abuse_module
from e5_onnx_perf.serve_load import command, rubbish
from e5_onnx_perf.serve_load.abuse import Found, Target, abuse, after
from e5_onnx_perf.serve_load.kills import Killed, kill_workers
from e5_onnx_perf.serve_load.load import Latencies, one_after_another
from e5_onnx_perf.serve_load.servers import our_server

NO_HARM = {
    "wrong": 0,
    "refused": {},
    "unanswered": {},
    "exit_code": 0,
    "unhealthy": 0,
    "alive_at_the_end": True,
    "memory_after_a_fifth_mb": 400.0,
    "memory_at_most_later_mb": 480.0,
    "kills": {"harm": False},
}
KEY = "the-key-of-this-measurement"


def test_the_command(
    exported, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"_ROUNDS": 1, "_REQUESTS": 4, "_SINGLES": 5, "_BULK": 40, "_CLIENTS": 3}
    for name, value in small.items():
        monkeypatch.setattr(command, name, value)
    # A slow machine makes its clients wait, and to send 50 MB takes it long.
    monkeypatch.setattr(abuse_module, "_PATIENCE_S", PATIENCE_S)
    monkeypatch.setattr(rubbish, "_HUGE", 12_000_000)
    monkeypatch.setattr(rubbish, "_LONG", 1_000_000)
    monkeypatch.setattr(rubbish, "_SOCKETS", 120)
    monkeypatch.setattr(command, "_KILLS", 2)
    assert main(["server-load", str(exported.folder), "--seconds", "3", "--out", str(tmp_path / "out")]) == 0
    values = json.loads((tmp_path / "out" / "serve.json").read_text("utf-8"))
    assert [row["engine"] for row in values["throughput"]] == [
        "library",
        "e5 serve, latency",
        "e5 serve, throughput",
    ]
    assert all(row["texts_per_s"] > 0 for row in values["throughput"])
    names = [(row["engine"], row["beside"]) for row in values["delays"]]
    assert names == [
        ("library, latency", "nothing"),
        ("library, throughput", "nothing"),
        ("e5 serve, latency", "nothing"),
        ("e5 serve, throughput", "nothing"),
        ("e5 serve, latency", "a request of 40 texts"),
        ("e5 serve, throughput", "a request of 40 texts"),
    ]
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in values["delays"])
    found = values["abuse"]
    assert found["answered"] > 0
    assert (found["wrong"], found["unanswered"], found["exit_code"]) == (0, {}, 0)
    assert found["alive_at_the_end"]
    kills = found["kills"]
    assert (found["unhealthy"], kills["workers"], kills["wrong"], kills["left_over"]) == (0, 2, 0, 0)
    assert kills["answered"] >= 12
    assert any(name.endswith(("400", "401", "413", " 0")) for name in found["broken"])
    printed = capsys.readouterr().out
    assert json.loads(printed[printed.index("{") :]) == values


def test_wrong_vectors_are_found(exported) -> None:
    texts = ["moon", "river"]
    with Embedder(exported.folder) as model:
        truth = model.embed_documents(texts)  # and the server is asked for queries
    with our_server(exported.folder, keys=KEY) as server:
        found = abuse(Target(server.url, KEY, texts, truth, server.pid), until=after(0))
    assert found.wrong == found.good_requests
    assert found.memory_mb[0] > 10


@pytest.mark.parametrize(
    ("change", "harmed"),
    [
        ({}, False),
        ({"refused": {"429": 3}}, False),
        ({"refused": {"500": 1}}, True),
        ({"unanswered": {"ReadError: ": 1}}, True),
        ({"wrong": 1}, True),
        ({"exit_code": 1}, True),
        ({"unhealthy": 1}, True),
        ({"refused": {"503": 3}}, False),
        ({"refused": {"502": 1}}, True),
        ({"alive_at_the_end": False}, True),
        ({"memory_at_most_later_mb": 500.0}, True),
        ({"kills": {"harm": True}}, True),
    ],
)
def test_what_is_harm(change: dict[str, object], harmed: bool) -> None:
    assert command._harmed(NO_HARM | change) is harmed


@pytest.mark.parametrize(
    ("killed", "harm"),
    [
        (Killed(workers=2, answered=9, lost=12, at_risk=12), False),
        (Killed(workers=2, answered=9, lost=13, at_risk=12), True),
        (Killed(workers=2, answered=9, wrong=1, at_risk=12), True),
        (Killed(workers=2, answered=9, left_over=1, at_risk=12), True),
    ],
)
def test_what_kills_may_cost(killed: Killed, harm: bool) -> None:
    assert killed.harm is harm


def test_wrong_vectors_beside_kills_are_found(exported) -> None:
    texts = ["moon", "river"]
    with Embedder(exported.folder) as model:
        truth = model.embed_queries(texts)
    truth[1] = -truth[1]
    with our_server(exported.folder, "--workers", "2", "--threads", "1", keys=KEY) as server:
        found = kill_workers(Target(server.url, KEY, texts, truth, server.pid), count=1)
    assert found.answered > 0
    assert found.wrong > 0
    assert (found.workers, found.left_over) == (1, 0)


def test_abuse_lasts_until_each_client_had_an_answer() -> None:
    enough = after(0)
    found = Found(answered=10, wrong=1)
    assert not enough(found)
    found.refused["429"] += 2
    found.unanswered["ReadTimeout: "] += 3
    assert enough(found)
    assert not after(3600)(found)


def test_an_answer_without_vectors_is_no_time(exported) -> None:
    with our_server(exported.folder) as server, pytest.raises(WorkerError, match=r"error"):
        one_after_another(server.url, ["\ud800"])


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"e5 serve: .*no model folder at"):
        our_server(tmp_path / "absent")


def test_percentiles() -> None:
    found = Latencies.of(np.linspace(0, 0.1, 101).tolist())
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == (50, 95, 99)


def test_a_time_that_cannot_be(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server-load", str(tiny_folder), "--seconds", "0"]) == 2
    assert "--seconds is 0.0; it must be more than 0" in capsys.readouterr().err
