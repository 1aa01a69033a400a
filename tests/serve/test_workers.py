"""When a worker that died is started again; time is the test's own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from served import LocalServer
from waiting import PATIENCE_S, until

from e5_onnx.serve.sockets import Sockets
from e5_onnx.serve.workers import Supervisor


class Workers:
    """A supervisor of one worker that lives for so long, looked at ten times a second.

    Attributes:
        starts: When the worker was started, in seconds.
        lives: How long it lives.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self.now, self.starts, self.lives = 0.0, [], 0.0  # type: ignore[var-annotated]
        self._supervisor = supervisor

    def start(self, *_command: object, **_options: object) -> SimpleNamespace:
        self.starts.append(self.now)
        dies = self.now + self.lives
        return SimpleNamespace(pid=1, returncode=1, poll=lambda: None if self.now < dies else 1)

    def watch(self, *, starts: int) -> list[float]:
        """Returns how long the worker was dead before each of its next starts."""
        before = len(self.starts)
        while len(self.starts) < before + starts:
            self._supervisor._look({})
            self.now = round(self.now + 0.1, 1)
        times = self.starts[max(0, before - 1) :]
        return [round(later - earlier - self.lives, 1) for earlier, later in pairwise(times)]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    with socket.create_server(("127.0.0.1", 0)) as api:
        supervisor = Supervisor(["serve"], 1, Sockets(api, None), clock=lambda: found.now)
        found = Workers(supervisor)
        monkeypatch.setattr(subprocess, "Popen", found.start)
        yield found


def test_a_worker_that_cannot_live_is_waited_for_longer_each_time(workers: Workers) -> None:
    assert workers.watch(starts=11) == pytest.approx([0.2, 0.6, 1.4, 3, 6.2, 12.6, 25.4, 30, 30, 30], abs=0.3)


def test_a_worker_that_lived_is_started_at_once(workers: Workers) -> None:
    workers.watch(starts=6)
    workers.lives = 10.2
    assert workers.watch(starts=3)[1:] == pytest.approx([0.1, 0.1], abs=0.3)


def test_workers_do_not_outlive_their_supervisor(
    start_server: Callable[..., LocalServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # Without its supervisor a worker does not wait for balancers.
    server = start_server("--workers", "2", "--threads", "1", "--drain-delay", str(PATIENCE_S))
    server.wait_for("serving", count=2)
    assert server.post("/embed", {"inputs": "moon", "prompt_name": "query"}).status == 200
    assert list(tmp_path.glob("e5-metrics-*/*"))
    server.process.kill()
    server.wait_for("stopped", count=2)
    until(lambda: not list(tmp_path.iterdir()))

    def is_free() -> bool:
        try:
            socket.create_server(("127.0.0.1", server.port)).close()
        except OSError:
            return False
        return True

    until(is_free)


def test_a_worker_that_still_loads_sees_that_its_supervisor_is_gone(
    tiny_folder: Path, tmp_path: Path
) -> None:
    read, write = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as api:
        words = ["serve", str(tiny_folder), "--listen-fd", str(api.fileno()), "--supervisor-fd", str(read)]
        os.close(write)
        worker = subprocess.Popen(
            [sys.executable, "-m", "e5_onnx.cli", *words],
            pass_fds=[api.fileno(), read],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        )
        os.close(read)
        worker.wait()


def test_the_queue_of_a_worker_that_died_is_forgotten(workers: Workers, tmp_path: Path) -> None:
    left = tmp_path / "gauge_livesum_1.db"
    left.write_bytes(b"")
    workers.watch(starts=1)
    workers.now += 1
    workers._supervisor._look({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)})
    assert not left.exists()
