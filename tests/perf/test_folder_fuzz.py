"""Model folders changed at random: what is harm is seen, and none is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e5_onnx_perf.cli import main
from e5_onnx_perf.faults import folder_fuzz
from e5_onnx_perf.faults.folder_mutants import Mutant, make_mutant, restore
from e5_onnx_perf.faults.fuzz_worker import Opener, judge_mutant


@pytest.fixture
def original(tiny_folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in tiny_folder.iterdir()}


@pytest.mark.security
def test_changed_folders_are_refused_or_right(tiny_folder: Path, tmp_path: Path) -> None:
    words = ["faults", str(tiny_folder), "--only", "folder-fuzz", "--trials", "60", "--out", str(tmp_path)]
    assert main(words) == 0
    (row,) = json.loads((tmp_path / "faults.json").read_text("utf-8"))["faults"]
    assert (row["trials"], row["harm"]) == (60, [])
    assert row["seen"]["refused"] > 10
    assert row["seen"]["right vectors"] > 1


def test_a_mutant_is_made_of_its_seed_and_number(original: dict[str, bytes]) -> None:
    assert make_mutant(original, 3, 14) == make_mutant(original, 3, 14)
    assert make_mutant(original, 3, 14) != make_mutant(original, 4, 14)


@pytest.mark.parametrize("number", range(40))
def test_the_folder_is_the_original_again(number: int, original: dict[str, bytes], tmp_path: Path) -> None:
    restore(tmp_path, original, Mutant({}))
    mutant = make_mutant(original, 0, number)
    mutant.write(tmp_path, original)
    restore(tmp_path, original, mutant)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == original


@pytest.mark.parametrize(
    ("resealed", "right_ways", "found", "harm"),
    [
        (False, {"verify"}, "found by verify", None),
        (False, set(), "other vectors", "verify=True opens it and gives other vectors"),
        (True, {"fingerprint"}, "another model with hashes of its own", None),
        (True, {"verify"}, "other vectors", "a pinned fingerprint opens it and gives other vectors"),
    ],
)
def test_other_vectors_are_harm_where_a_check_passes(
    resealed: bool, right_ways: set[str], found: str, harm: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that gives right vectors stands for one that refuses."""

    def is_right(_: Opener, *, verify: bool = False, fingerprint: str | None = None) -> bool:
        way = "verify" if verify else "fingerprint" if fingerprint else "plain"
        return way in right_ways or (way == "fingerprint" and not resealed)

    monkeypatch.setattr(Opener, "is_right", is_right)
    opener = Opener(Path(), None, "pin")  # type: ignore[arg-type]
    assert judge_mutant(opener, Mutant({}, resealed=resealed)) == (found, harm)


def test_another_exception_is_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise KeyError("x")

    monkeypatch.setattr(Opener, "is_right", fail)
    opener = Opener(Path(), None, "pin")  # type: ignore[arg-type]
    assert judge_mutant(opener, Mutant({})) == ("another exception", "KeyError: 'x'")


def worker(lines: str) -> list[str]:
    return ["python", "-c", f"import os\nprint('begin 0', flush=True)\n{lines}"]


@pytest.mark.parametrize(
    ("lines", "found", "sentence"),
    [
        ("os.abort()", "a crash", "mutant 0: died of SIGABRT"),
        ("import time; time.sleep(10**6)", "a hang", "mutant 0: hung for 0 s"),
    ],
)
def test_a_process_that_dies_or_hangs_is_harm(
    lines: str, found: str, sentence: str, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_fuzz, "_HANGS_AFTER_S", 0.2 if found == "a hang" else 10**6)
    monkeypatch.setattr(folder_fuzz, "module", lambda *_: worker(lines))
    words = ["faults", str(tiny_folder), "--only", "folder-fuzz", "--trials", "1", "--out", str(tmp_path)]
    assert main(words) == 1
    (row,) = json.loads((tmp_path / "faults.json").read_text("utf-8"))["faults"]
    assert (row["seen"], row["harm"]) == ({found: 1}, [sentence])
