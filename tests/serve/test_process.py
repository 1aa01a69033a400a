"""A real server: stopping in order, workers that die, clients that dawdle, memory, and metrics apart."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from served import KEY, LocalServer, Served
from waiting import PATIENCE_S, until, until_async

from e5_onnx import Embedder
from e5_onnx.serve import memory, server
from e5_onnx.serve.errors import InternalError
from e5_onnx.serve.settings import Limits

BODY = {"model": "tiny_e5:query", "input": "moon"}
MANY = {"model": "tiny_e5:query", "input": [f"{'moon river ' * 90}{number}" for number in range(1500)]}

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/embed",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
}


def test_what_was_taken_is_answered_before_the_end(
    start_server: Callable[..., LocalServer], tiny_folder: Path
) -> None:
    server = start_server("--drain-delay", "0", "--metrics-address", "127.0.0.1:0", "--threads", "1")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, "/v1/embeddings", MANY)
        until(lambda: queued_tokens(server) > 0)
        server.process.send_signal(signal.SIGTERM)
        answer = running.result()
    assert answer.status == 200
    found = np.array([row["embedding"] for row in answer.values["data"]], np.float32)
    with Embedder(tiny_folder, overflow="truncate") as model:
        np.testing.assert_allclose(found, model.embed_queries(MANY["input"]), atol=2e-6)
    assert server.process.wait() == 0
    server.wait_for("stopped")
    assert not server.other_output


def queued_tokens(server: LocalServer) -> float:
    metrics = server.get("/metrics", port=server.wait_for("serving")["metrics_port"]).values
    return float(re.findall(r"^e5_queue_tokens (.*)$", metrics, re.MULTILINE)[0])


def test_while_it_drains_it_says_that_it_stops(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--drain-delay", str(PATIENCE_S), "--threads", "1")
    server.process.send_signal(signal.SIGTERM)
    server.wait_for("stopping")
    ready = server.get("/ready")
    assert (ready.status, ready.values["error"]["code"]) == (503, "shutting_down")
    assert ready.headers["retry-after"] == "5"
    assert server.post("/v1/embeddings", BODY).values["error"]["code"] == "shutting_down"
    server.process.kill()


def test_workers_are_started_again_and_their_neighbours_serve(
    start_server: Callable[..., LocalServer],
) -> None:
    server = start_server("--workers", "2", "--metrics-address", "127.0.0.1:0", "--threads", "1")
    port = server.wait_for("serving", count=2)["metrics_port"]
    for _ in range(20):
        assert server.post("/v1/embeddings", BODY).status == 200
    # Of both workers together, whichever answers.
    assert "e5_texts_total 20.0" in server.get("/metrics", port=port).values
    victim = server.wait_for("worker started")["pid"]
    os.kill(victim, signal.SIGKILL)
    for _ in range(20):
        with suppress(OSError, HTTPException):  # it was in the hands of the one that died
            assert server.post("/v1/embeddings", BODY).status == 200
    assert server.wait_for("worker died")["code"] == -signal.SIGKILL
    server.wait_for("serving", count=3)
    assert server.wait_for("worker started", count=3)["worker"] == 0
    assert server.post("/v1/embeddings", BODY).status == 200
    assert server.stop() == 0


def test_metrics_have_an_address_of_their_own(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--metrics-address", "127.0.0.1:0", "--threads", "1", keys=KEY)
    port = server.wait_for("serving")["metrics_port"]
    assert server.post("/v1/embeddings", BODY).status == 401
    assert server.post("/v1/embeddings", BODY, key=KEY).status == 200
    assert "e5_texts_total 1.0" in server.get("/metrics", port=port).values
    assert server.get("/v1/models", port=port).status == 404
    assert server.stop() == 0
    log = json.dumps(server.records)
    assert KEY not in log
    assert "moon" not in log


def test_a_port_that_is_taken(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from e5_onnx.cli import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(tiny_folder), "--port", port]) == 2
        assert f"--port is {port}; it must be one that is free: another program" in capsys.readouterr().err
        assert main(["serve", str(tiny_folder), "--port", "0", "--metrics-address", f"127.0.0.1:{port}"]) == 2
        assert f"--metrics-address is '127.0.0.1:{port}'; it must be one that can" in capsys.readouterr().err


def test_beyond_the_memory_limit_no_work_is_taken(
    serve_app: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_app(limits=Limits(max_memory_mb=1000), default_role="query")
    monkeypatch.setattr(memory, "resident_mb", lambda: 999.0)
    assert served.post("/embed", inputs="moon").status_code == 200
    monkeypatch.setattr(memory, "resident_mb", lambda: 1001.0)
    refused = served.post("/embed", inputs="moon")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "memory_limit")
    assert "holds 1001 MB and may hold 1000" in refused.json()["error"]["message"]
    assert served.send("GET", "/ready").status_code == 503


def test_a_client_that_goes_away_takes_its_texts_along(serve_app: Callable[..., Served]) -> None:
    served = serve_app(default_role="query")
    release = threading.Event()
    run = served.model._dispatcher._run
    served.model._dispatcher._run = lambda *grid: (release.wait(PATIENCE_S), run(*grid))[1]
    body = json.dumps({"inputs": [f"moon {number}" for number in range(400)]}).encode()

    async def receive() -> dict[str, object]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": body, "more_body": False}
        await until_async(lambda: served.model.waiting_tokens)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asked: list[bool] = []
    sent: list[dict[str, object]] = []

    async def call() -> None:
        await served.app(SCOPE, receive, send)  # type: ignore[arg-type]
        await until_async(lambda: not served.model.waiting_tokens)
        release.set()

    asyncio.run(call())
    assert sent[0]["status"] == 499
    assert "e5_cancelled_requests_total 1.0" in served.state.metrics.text().decode()


def test_a_body_that_ends_early_is_no_crash(serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(served.app(SCOPE, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 499


def test_a_bug_is_told_without_details(
    serve_app: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve_app(default_role="query")

    def fail(*_: object) -> None:
        raise RuntimeError("my secret text")

    monkeypatch.setattr(served.model, "embed", fail)
    answer = served.post("/embed", inputs="moon")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == InternalError.code
    assert "secret" not in answer.text
    assert "a request failed" in caplog.text


def test_an_unexpected_error_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(server._log_unexpected)
        loop.call_exception_handler({"message": "moon river", "exception": ValueError("broken")})

    asyncio.run(fail())
    assert "unexpected error" in caplog.text
    assert "broken" in caplog.text
    assert "moon river" not in caplog.text


def test_a_body_without_length_is_measured(serve_app: Callable[..., Served]) -> None:
    served = serve_app(limits=Limits(max_body_mb=0.001))

    async def parts():
        for _ in range(5):
            yield b" " * 400

    answer = served.send("POST", "/embed", content=parts())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert "this one has more" in answer.json()["error"]["message"]


def waiting_for_its_turn(served: Served) -> threading.Event:
    """Keeps the thread that tokenises busy until the event is set."""
    gate = threading.Event()
    served.model._turns._thread.submit(gate.wait, PATIENCE_S)
    return gate


@pytest.mark.parametrize("path", ["/embed", "/tokenize"])
def test_the_time_of_a_request_holds_before_the_model_too(
    path: str, serve_app: Callable[..., Served]
) -> None:
    served = serve_app(default_role="query", limits=Limits(request_timeout=0.05))
    gate = waiting_for_its_turn(served)
    answer = served.post(path, inputs="moon")
    gate.set()
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert "not done within 0.05 s" in answer.json()["error"]["message"]


def test_tokens_have_the_limits_of_vectors(
    serve_app: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The process of the tests may hold more than the limit.
    monkeypatch.setattr(memory, "resident_mb", lambda: 999.0)
    served = serve_app(default_role="query", limits=Limits(max_tokens=1000, max_memory_mb=1000))
    assert served.post("/tokenize", inputs="moon").status_code == 200
    refused = served.post("/tokenize", inputs="moon river " * 5000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    monkeypatch.setattr(memory, "resident_mb", lambda: 1001.0)
    assert served.post("/tokenize", inputs="moon").status_code == 503


def test_no_work_is_begun_while_stopping(serve_app: Callable[..., Served]) -> None:
    served = serve_app(default_role="query")
    served.state.stopping = True
    answer = served.post("/embed", inputs="moon")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
    assert answer.headers["retry-after"] == "5"


def test_what_lies_unused_is_given_back_before_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    held = iter([900.0, 1200.0, 950.0, 1200.0, 1100.0, 700.0, 900.0, 800.0])
    monkeypatch.setattr(memory, "resident_mb", lambda: next(held))
    given: list[bool] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(True))
    assert [memory.settled_mb(1000) for _ in range(3)] == [900, 950, 1100]
    assert len(given) == 2
    assert memory.may_hold(300, limit_mb=1000)
    assert not memory.may_hold(300, limit_mb=1000)
    assert memory.may_hold(300, limit_mb=None)


def test_memory_is_given_back_where_the_c_library_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(malloc_trim=trimmed.append))
    memory.give_back()
    assert trimmed == [0]
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace())
    memory.give_back()
    monkeypatch.setattr("os.name", "nt")
    memory.give_back()
    assert trimmed == [0]
