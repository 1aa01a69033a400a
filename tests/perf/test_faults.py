"""`e5-perf faults`: each fault a few times on a small model, and harm where there is some."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from e5_onnx_perf.cli import main
from e5_onnx_perf.faults import bulk_kills, command
from e5_onnx_perf.faults.fault import Fault, Ground, Outcome
from e5_onnx_perf.faults.program import Ended

FEW = {
    "export-kills": 2, "bulk-kills": 2, "bulk-input": 1, "full-logs": 1,
    "cache-races": 1, "cache-kills": 2, "cache-full": 2, "clock-bulk": 1, "clock-cache": 2,
    "clock-server": 3, "forks": 2, "process-pools": 1, "async-tasks": 1, "interrupts": 5,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_nothing_is_harmed(
    name: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["faults", str(tiny_folder), "--only", name, "--trials", str(FEW[name]), "--out", str(tmp_path)]
    assert main(words) == 0, capsys.readouterr().out
    (row,) = json.loads((tmp_path / "faults.json").read_text("utf-8"))["faults"]
    assert (row["fault"], row["harm"]) == (name, [])
    assert sum(row["seen"].values()) >= FEW[name]


def test_every_fault_is_tried_here() -> None:
    assert FEW.keys() | {"folder-fuzz"} == command.FAULTS.keys()  # test_folder_fuzz.py has it


def test_a_run_that_ends_with_other_bytes_is_harm(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = iter([{"a": b"1"}, {"a": b"2"}])
    monkeypatch.setattr(bulk_kills, "content", lambda _: next(contents))
    assert main(["faults", str(tiny_folder), "--only", "bulk-kills", "--trials", "1"]) == 1
    assert "HARM: killed-0 holds other bytes" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["clock-cache", "clock-server", "forks", "process-pools", "async-tasks", "interrupts"]
)
def test_wrong_vectors_are_harm(
    name: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Ground, "truth", lambda _, texts: np.zeros((len(texts), 32), np.float32))
    assert main(["faults", str(tiny_folder), "--only", name, "--trials", "1"]) == 1
    assert "wrong vectors" in capsys.readouterr().out


def test_harm_is_shown(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def harm(_ground: object, outcome: Outcome) -> None:
        outcome.expect(True, "no harm")
        outcome.expect(False, "a wrong vector")

    monkeypatch.setattr(command, "FAULTS", {"any": Fault("text", 1, harm)})
    assert main(["faults", str(tiny_folder)]) == 1
    assert "1 harmed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ended", "crash"),
    [
        (Ended(0), None),
        (Ended(1, said="e5: error: no such file"), None),
        (Ended(-11), "died of SIGSEGV"),
        (Ended(None), "hung for 600 s"),
        (
            Ended(1, said="Traceback (most recent call last):\n  x\nKeyError: 1"),
            "ended with a traceback: KeyError: 1",
        ),
    ],
)
def test_what_is_no_proper_end(ended: Ended, crash: str | None) -> None:
    assert ended.crash == crash


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "x"], "--only is 'x'; it must be of export-kills, "),
        (["--trials", "0"], "--trials is 0; it must be at least 1"),
    ],
)
def test_wrong_options(
    words: list[str], message: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["faults", str(tiny_folder), *words]) == 2
    assert message in capsys.readouterr().err
