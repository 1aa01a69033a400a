"""Measuring processes, and the machine that they are measured on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.machine_load import busy_seconds, share_of_others, wait_until_still
from e5_onnx_perf.speed.engine import EngineSpec
from e5_onnx_perf.worker_process import WorkerProcess


def start(folder: Path) -> WorkerProcess:
    spec = EngineSpec("graph", str(folder), 1, "scratch")
    return WorkerProcess(spec.name, "e5_onnx_perf.speed.worker", json.dumps(asdict(spec)))


@pytest.fixture
def worker(tiny_folder: Path) -> Iterator[WorkerProcess]:
    with start(tiny_folder) as started:
        yield started


def test_a_worker_that_cannot_load_says_why(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"absent \(graph alone\): .*no model folder at"):
        start(tmp_path / "absent")


def test_a_request_that_fails_is_reported(worker: WorkerProcess) -> None:
    with pytest.raises(WorkerError, match=r"tiny_e5 \(graph alone\): .*text 1 is int, not str"):
        worker.request({"job": "time", "requests": [["moon", 1]]})


def test_a_worker_that_died_between_jobs(worker: WorkerProcess) -> None:
    worker._process.kill()
    worker._process.wait()
    with pytest.raises(WorkerError, match=r"tiny_e5 \(graph alone\): it was killed by SIGKILL"):
        worker.request({"job": "time", "requests": []})


@pytest.mark.parametrize("heavy", ["onnx_ir", "torch", "pyarrow", "scipy"])
def test_libraries_that_no_engine_needs_are_not_charged_to_one(heavy: str) -> None:
    imports = "import sys, e5_onnx_perf.speed.worker, e5_onnx_perf.peers.conversion"
    code = f"{imports}\nassert {heavy!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


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


def test_a_turn_waits_for_threads_that_spin() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        assert not wait_until_still([busy.pid], longest=0.2)
        busy.send_signal(signal.SIGSTOP)
        assert wait_until_still([busy.pid])
        busy.kill()
