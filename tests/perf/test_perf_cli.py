from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.accuracy.scores import spearman
from e5_onnx_perf.cli import main
from e5_onnx_perf.errors import ToolMissingError
from e5_onnx_perf.memory_command import Held, judge_growth
from e5_onnx_perf.process_memory import Memory


def test_qemu_is_asked_for(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert main(["cpu-exactness", str(tiny_folder)]) == 1
    assert "qemu-x86_64 is not installed: it is in Debian's package qemu-user" in capsys.readouterr().err
    assert issubclass(ToolMissingError, OSError)


def test_arena(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["memory", str(tiny_folder), "--batches", "12", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["batches"] == 12
    assert facts["ratchets"] is bool(code)
    main(["memory", str(tiny_folder), "--batches", "12"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows[2:]] == [f"| {n} to {n + 1}" for n in range(1, 12, 2)]


def test_a_ratchet_is_known_by_what_comes_after_a_hundred_texts() -> None:
    def held(*megabytes: float) -> list[Held]:
        return [Held(40 * number, Memory(0, heap, 0)) for number, heap in enumerate(megabytes, 1)]

    assert judge_growth(held(100, 200, 200, 205, 209))["ratchets"] is False
    assert judge_growth(held(100, 200, 190, 190, 211)) == {
        "batches": 5,
        "texts": 200,
        "first_peak_mb": 200,
        "later_peak_mb": 211,
        "growth": 1.055,
        "ratchets": True,
    }
    # Fewer texts than that: the last call is what comes after.
    assert judge_growth(held(100, 120))["growth"] == 1.2


USAGE = {
    "memory folder --batches 1": "--batches is 1; it must be at least 2",
    "memory folder --seed -1": "--seed is -1; it must be at least 0",
    "accuracy a b --out o --limit 1": "--limit is 1; it must be at least 2",
    "accuracy a b --out o --tasks retrieval,sts,x": "--tasks is 'retrieval,sts,x'; it must be one or more of",
    "accuracy a b --out o --margin -1": "--margin is '-1'; it must be AVERAGE or AVERAGE,LANGUAGE",
    "attention-operators --heads 3": "--heads is 3; it must be a divisor of `--hidden`, 1024",
    "capacity-plan --tokens-per-core-second 400 --process-mb -1": "--process-mb is -1.0; it must be more",
    "make-checkpoint out --outliers 20": "--outliers needs --from demo",
    "make-checkpoint out --from demo --outliers 0": "--outliers is a number greater than 0",
    "make-checkpoint out --from demo --outliers nan": "--outliers is a number greater than 0",
    "make-checkpoint out --from demo --size small": "--size is of a seeded checkpoint",
    "make-checkpoint out --from demo --seed 1": "--seed with --from needs --outliers",
    "make-checkpoint out --seed -1": "--seed is at least 0",
}


@pytest.mark.parametrize("line", USAGE)
def test_usage(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    assert capsys.readouterr().err.startswith(f"e5-perf: error: {USAGE[line]}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line", ["", "unknown", "figures folder", "accuracy folder", "make-checkpoint out --size huge"]
)
def test_usage_that_argparse_sees(line: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "line",
    ["memory absent", "speed absent --out out", "accuracy absent absent --out out", "cpu-exactness absent"],
)
def test_failures_are_sentences(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", str)
    assert main(line.split()) == 1
    assert capsys.readouterr().err.startswith("e5-perf: error: ")


@pytest.mark.parametrize("command", ["make-checkpoint", "accuracy", "speed", "memory", "cpu-exactness"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"example:\n  e5-perf {command} " in capsys.readouterr().out


def test_scipy_is_asked_for_before_any_work(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    message = r"scipy is not installed: `pip install 'e5-onnx\[perf\]'`"
    with pytest.raises(MissingExtraError, match=message):
        spearman(np.zeros(2), np.zeros(2))
    # Neither is the folder opened nor the data looked for.
    assert main(["accuracy", "absent", "absent", "--out", "out", "--data", "absent"]) == 1
    assert "scipy is not installed" in capsys.readouterr().err
    # Others do without.
    main(["memory", str(tiny_folder), "--batches", "2"])
    assert "Memory" in capsys.readouterr().out
