"""Disks that fill up and power that goes, at every moment at which it matters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from bulk_inputs import contents, rows, write

from e5_onnx.bulk.journal import Journal, Receipt, read_journal
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.run import run_bulk
from e5_onnx.bulk_job import Job
from e5_onnx.machine import atomic_file

MOMENTS = 36


class PowerCutError(BaseException):
    pass


class Disk:
    """Forgets what was not synchronised when the power goes, which it does at a chosen moment.

    A moment is a call of fsync, before it has had any effect, or of rename. Names that a folder was not
    synchronised for are gone; so is the end of a file that was written since.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cut_at: int) -> None:
        self.moments, self._cut_at = 0, cut_at
        self._sizes: dict[Path, int] = {}
        self._replaced: dict[Path, bytes | None] = {}
        self._fsync, self._replace, self._unlink = os.fsync, Path.replace, Path.unlink
        disk = self
        monkeypatch.setattr(os, "fsync", self._synchronise)
        monkeypatch.setattr(Path, "replace", lambda path, target: disk._rename(path, target))
        monkeypatch.setattr(Path, "unlink", lambda path, **options: disk._remove(path, **options))

    def _synchronise(self, descriptor: int) -> None:
        self._moment()
        self._fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self._sizes[path] = path.stat().st_size
        self._replaced = {name: old for name, old in self._replaced.items() if name.parent != path}

    def _rename(self, path: Path, target: Path) -> Path:
        self._moment()
        self._replaced.setdefault(target, target.read_bytes() if target.exists() else None)
        self._sizes[target] = self._sizes.pop(path)
        return self._replace(path, target)

    def _remove(self, path: Path, *, missing_ok: bool = False) -> None:
        # Nobody clears up after a power cut.
        if self.moments < self._cut_at:
            self._unlink(path, missing_ok=missing_ok)

    def _moment(self) -> None:
        self.moments += 1
        if self.moments == self._cut_at:
            raise PowerCutError

    def forget(self, folder: Path) -> None:
        for path, old in self._replaced.items():
            path.write_bytes(old) if old is not None else self._unlink(path)
        for path in folder.rglob("*"):
            if (
                path.is_file()
                and path not in self._replaced
                and path.stat().st_size > self._sizes.get(path, 0)
            ):
                kept = self._sizes.get(path, 0)
                torn = path.read_bytes()[: (kept + path.stat().st_size) // 2]
                path.write_bytes(torn)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    records = [row | ({"text": None} if number % 50 == 7 else {}) for number, row in enumerate(rows(80))]
    return write("jsonl", tmp_path, records)


@pytest.mark.parametrize("output", ["out", "out.npy"])
def test_power_that_goes_at_any_moment(
    output: str, tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    whole = job(path, output=tmp_path / "whole" / output)
    run_bulk(whole)
    cuts = 0
    for moment in range(1, MOMENTS):
        asked = job(path, output=tmp_path / str(moment) / output)
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = Disk(monkeypatch, moment)
            try:
                run_bulk(asked)
            except PowerCutError:
                cuts += 1
        disk.forget(asked.output.parent)
        run_bulk(asked)
        assert contents(asked.output) == contents(whole.output), f"cut at moment {moment} of {disk.moments}"
    assert cuts > 15
    assert disk.moments < MOMENTS, "there are more moments than were tried"


def test_a_disk_that_is_full_at_any_moment(tmp_path: Path, path: Path, job: Callable[..., Job]) -> None:
    whole = job(path, output=tmp_path / "whole" / "out")
    run_bulk(whole)
    asked = job(path)
    synchronise, failed = os.fsync, 0
    for room in range(MOMENTS):
        left = [room]

        def full(descriptor: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            synchronise(descriptor)

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(os, "fsync", full)
            with suppress(OSError):
                run_bulk(asked)
            failed += left[0] < 0
        assert not any(OutputLayout(asked.output).partial.glob(".*"))
    assert failed > 5
    run_bulk(asked)
    assert contents(asked.output) == contents(whole.output)


@pytest.mark.parametrize("output", ["out", "out.npy"])
def test_a_limit_that_the_system_sets(
    output: str, tmp_path: Path, path: Path, job: Callable[..., Job], *, tiny_folder: Path
) -> None:
    """No file may grow beyond some bytes: the write itself fails, in the middle of a part."""
    asked = job(path, output=tmp_path / output)
    limited = (
        "import resource, sys; from e5_onnx.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); sys.exit(main(sys.argv[2:]))"
    )
    arguments = ["bulk", str(tiny_folder), str(path), "--output", str(asked.output), "--role", "document"]
    command = [sys.executable, "-c", limited, "3000", *arguments, "--shard-rows", "40"]
    # Coverage's own file would not find room either.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    part = OutputLayout(asked.output).part(0)
    assert done.stderr.splitlines()[-1] == f"e5: error: [Errno 27] File too large: '{part}'"
    assert done.returncode == 1
    assert not any(OutputLayout(asked.output).partial.glob(".*"))
    run_bulk(asked)
    whole = job(path, output=tmp_path / "whole" / output)
    run_bulk(whole)
    assert contents(asked.output) == contents(whole.output)


RECEIPTS = [Receipt(first, 40, 39, 1, tokens=500, truncated=0, sha256=64 * "a") for first in (0, 80, 40)]


def test_half_a_line_of_the_journal_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, [])
    for receipt in RECEIPTS:
        journal.add(receipt)
    journal.close()
    data = path.read_bytes()
    assert list(read_journal(path)) == RECEIPTS
    for size in range(len(data)):
        path.write_bytes(data[:size])
        whole = list(read_journal(path))
        assert whole == RECEIPTS[: data[:size].count(b"\n")]
    path.write_bytes(data[:-20] + b"\0" * 20 + b"\n" + data)
    assert list(read_journal(path)) == RECEIPTS[:2]
    journal = Journal(path, read_journal(path))
    journal.add(RECEIPTS[2])
    journal.close()
    assert path.read_bytes() == data


def test_folders_that_cannot_be_synchronised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_DIRECTORY")
    with atomic_file.atomic_file(tmp_path / "file") as file:
        file.write(b"moon")
    assert (tmp_path / "file").read_bytes() == b"moon"
