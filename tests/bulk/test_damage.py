"""What was done before is believed only if it is there as it was written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from bulk_inputs import contents, rows, write

from e5_onnx.bulk.errors import OutputExistsError, ResumeError
from e5_onnx.bulk.journal import Receipt, read_journal
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.run import run_bulk
from e5_onnx.bulk_job import Job


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two hundred rows, one of each shard bad."""
    records = [row | ({"text": None} if number % 40 == 7 else {}) for number, row in enumerate(rows(200))]
    return write("jsonl", tmp_path, records)


def flip(path: Path, place: float) -> None:
    """Changes one bit of a file, and neither its size nor its time of change."""
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


DAMAGED = {
    "a part": lambda layout: layout.part(80),
    "the bad rows of a part": lambda layout: layout.rejects_of(80),
}


@pytest.mark.parametrize("place", [0, 0.3, 0.7, 1])
@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_shard_is_done_again(
    what: str, place: float, tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    asked = job(path)
    run_bulk(asked)
    whole = contents(asked.output)
    flip(DAMAGED[what](OutputLayout(asked.output)), place)
    assert run_bulk(asked).done_before == 160
    assert contents(asked.output) == whole
    assert run_bulk(asked).done_before == 200


@pytest.mark.parametrize("name", ["out.npy", "out.ids.parquet"])
def test_a_damaged_array_is_made_again(
    name: str, tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    asked = job(path, output=tmp_path / "out.npy")
    run_bulk(asked)
    whole = contents(asked.output)
    flip(tmp_path / name, 0.8)
    assert run_bulk(asked).done_before == 0
    assert contents(asked.output) == whole
    OutputLayout(asked.output).done.write_text("{not JSON", "utf-8")
    run_bulk(asked)
    assert contents(asked.output) == whole


def test_a_damaged_part_does_not_reach_the_array(
    tmp_path: Path, path: Path, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, whole = job(path, output=tmp_path / "out.npy"), job(path, output=tmp_path / "whole.npy")
    run_bulk(whole)
    with monkeypatch.context() as patched:
        patched.setattr("e5_onnx.bulk.output.write_array", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_bulk(asked)
    flip(OutputLayout(asked.output).part(40), 0.5)
    assert run_bulk(asked).done_before == 160
    assert asked.output.read_bytes() == whole.output.read_bytes()


GOOD = asdict(Receipt(0, 40, 39, 1, tokens=9, truncated=0, sha256=64 * "a"))
LINES: dict[str, Any] = {
    "a list": [1, 2],
    "a number": 5,
    "null": None,
    "no values": {},
    "a value more": GOOD | {"more": 1},
    "a string for a number": GOOD | {"rows": "40"},
    "a truth for a number": GOOD | {"rows": True},
    "a float": GOOD | {"first": 0.0},
    "less than none": GOOD | {"first": -40},
    "no hash": GOOD | {"sha256": None},
}


@pytest.mark.parametrize("name", LINES)
def test_a_strange_line_ends_the_journal(
    name: str, tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    asked = job(path)
    run_bulk(asked)
    whole, journal = contents(asked.output), OutputLayout(asked.output).journal
    lines = journal.read_text("utf-8").splitlines()
    journal.write_text("\n".join([*lines[:2], json.dumps(LINES[name]), *lines[2:], ""]), "utf-8")
    assert run_bulk(asked).done_before == 80
    assert contents(asked.output) == whole
    assert len(list(read_journal(journal))) == 5


def test_a_line_that_is_nested_too_deeply(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("[" * 100_000 + "\n", "utf-8")
    assert list(read_journal(tmp_path / "journal.jsonl")) == []


STRANGERS = [
    {"first": 9960, "rows": 40},
    {"first": 160, "rows": 80},
    {"first": 170, "rows": 10},
    {"first": 20, "rows": 40},
    {"first": 80, "rows": 0},
]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_receipt_for_rows_of_no_shard_is_not_believed(
    stranger: dict[str, int], path: Path, job: Callable[..., Job]
) -> None:
    asked = job(path)
    run_bulk(asked)
    whole, layout = contents(asked.output), OutputLayout(asked.output)
    receipt = json.loads(layout.journal.read_text("utf-8").splitlines()[0]) | stranger
    layout.part(stranger["first"]).write_bytes(layout.part(0).read_bytes())
    layout.rejects_of(stranger["first"]).write_bytes(layout.rejects_of(0).read_bytes())
    with layout.journal.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(receipt) + "\n")
    done = run_bulk(asked)
    assert (done.rows, done.written, done.rejected) == (200, 195, 5)
    assert contents(asked.output) == whole


def test_a_part_without_a_receipt_is_removed(path: Path, job: Callable[..., Job]) -> None:
    asked = job(path)
    run_bulk(asked)
    whole, layout = contents(asked.output), OutputLayout(asked.output)
    layout.part(20).write_bytes(layout.part(0).read_bytes())
    (asked.output / "part-of-mine.parquet").write_bytes(b"mine")
    run_bulk(asked)
    assert (asked.output / "part-of-mine.parquet").read_bytes() == b"mine"
    (asked.output / "part-of-mine.parquet").unlink()
    assert contents(asked.output) == whole


STATES = {
    "nothing": "",
    "a list": "[]",
    "no settings": '{"version": 2, "input": []}',
    "settings that are a list": '{"version": 2, "settings": [], "input": []}',
    "input that is an object": '{"version": 2, "settings": {}, "input": {}}',
    "a file that is a number": '{"version": 2, "settings": {}, "input": [5]}',
    "a version that is a string": '{"version": "2", "settings": {}, "input": []}',
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_that_is_none(name: str, path: Path, job: Callable[..., Job]) -> None:
    asked = job(path)
    run_bulk(asked)
    OutputLayout(asked.output).state.write_text(STATES[name], "utf-8")
    with pytest.raises(OutputExistsError):
        run_bulk(asked)


def test_an_output_of_another_version_is_not_resumed(path: Path, job: Callable[..., Job]) -> None:
    asked = job(path)
    run_bulk(asked)
    state = OutputLayout(asked.output).state
    state.write_text(json.dumps(json.loads(state.read_text("utf-8")) | {"version": 1}), "utf-8")
    with pytest.raises(ResumeError, match="was started with layout version 1, and now it is 2"):
        run_bulk(asked)
