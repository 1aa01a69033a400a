"""A file that is there whole or not at all, and nothing else beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e5_onnx.machine import atomic_file

WRITER = """
import sys
from pathlib import Path
from e5_onnx.machine.atomic_file import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


def partials(folder: Path) -> list[Path]:
    return list(folder.glob(".*partial-*"))


@pytest.mark.parametrize("name", ["out.npy", "out[1].npy"])
def test_what_a_killed_process_left_is_removed_by_the_next(name: str, tmp_path: Path) -> None:
    target = tmp_path / name
    command = [sys.executable, "-c", WRITER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        (left,) = partials(tmp_path)
        with atomic_file.atomic_file(target) as file:
            file.write(b"whole")
        assert partials(tmp_path) == [left]  # it belongs to a process that is alive
        process.kill()
    (tmp_path / ".other.npy.partial-1").touch()
    with atomic_file.atomic_file(target) as file:
        file.write(b"whole")
    assert partials(tmp_path) == [tmp_path / ".other.npy.partial-1"]
    assert target.read_bytes() == b"whole"


def test_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_file, "_fcntl", None)
    with atomic_file.atomic_file(tmp_path / "out.npy") as file:
        file.write(b"whole")
    assert (tmp_path / "out.npy").read_bytes() == b"whole"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_umask_is_applied_and_never_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the whole process's: a thread that sets it, to ask for it, changes the files of all others."""
    mask = os.umask(0o027)
    try:
        with monkeypatch.context() as patched:
            patched.delattr(os, "umask")
            with atomic_file.atomic_file(tmp_path / "out.npy") as file:
                file.write(b"whole")
    finally:
        os.umask(mask)
    assert (tmp_path / "out.npy").stat().st_mode & 0o777 == 0o640
