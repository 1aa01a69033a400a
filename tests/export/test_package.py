from __future__ import annotations

import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from filelock import FileLock

from e5_onnx_export.errors import DiskSpaceError, FolderExistsError
from e5_onnx_export.package import atomic_folder, check_target, require_space


def fill(folder: Path, text: str = "new") -> None:
    (folder / "e5.json").write_text(text)
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with atomic_folder(out, force=False) as partial:
        fill(partial)
        assert not out.exists()
        assert partial.parent == out.parent
    assert names(out) == ["e5.json", "sub"]
    assert names(out.parent) == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_error_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    def export() -> None:
        with atomic_folder(tmp_path / "out", force=False) as partial:
            fill(partial)
            raise error

    with pytest.raises(error):
        export()
    assert names(tmp_path) == []


def test_what_is_there_is_kept_without_force(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FolderExistsError, match="out exists: replace it with force=True, or choose another"):
        check_target(tmp_path / "out", force=False)


@pytest.mark.security
def test_a_model_folder_is_replaced_with_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "e5.json").write_text("old")
    (out / "old file").touch()
    with atomic_folder(out, force=True) as partial:
        fill(partial)
        assert (out / "e5.json").read_text() == "old"
    assert names(out) == ["e5.json", "sub"]
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out", force=True) as partial:
        fill(partial)
    assert (tmp_path / "out" / "e5.json").read_text() == "new"


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_anything_else_is_never_deleted(kind: str, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").touch()
    makes: dict[str, Callable[[], object]] = {
        "folder": lambda: shutil.copytree(other, out),
        "file": out.touch,
        "link": lambda: out.symlink_to(other),
    }
    makes[kind]()
    with pytest.raises(FolderExistsError, match="it is not a model folder, so force=True does not delete it"):
        check_target(out, force=True)
    assert (other / "thesis.txt").exists()


def test_a_failed_exchange_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "e5.json").write_text("old")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="Input/output"), atomic_folder(out, force=True) as partial:
        fill(partial)
    assert (out / "e5.json").read_text() == "old"
    assert names(tmp_path) == ["out"]


EXPORT = """
import sys
from pathlib import Path
from e5_onnx_export.package import atomic_folder
with atomic_folder(Path(sys.argv[1]), force=True) as partial:
    (partial / "e5.json").write_text("half")
    print(partial.name, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["out", "other", "other [1]*"])
def test_leftovers_of_killed_exports_are_removed(name: str, tmp_path: Path) -> None:
    foreign = tmp_path / ".download.partial-1"
    foreign.mkdir()
    command = [sys.executable, "-c", EXPORT, str(tmp_path / name)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        left = process.stdout.readline().strip()
        with atomic_folder(tmp_path / "out", force=False) as partial:
            fill(partial)
        assert names(tmp_path) == sorted([foreign.name, left, f"{left}.lock", "out"])  # it still runs
        process.kill()
    with atomic_folder(tmp_path / "out", force=True) as partial:
        fill(partial)
    assert names(tmp_path) == [foreign.name, "out"]


def test_two_exports_in_one_process_keep_apart(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "a", force=False) as first:
        fill(first)
        with atomic_folder(tmp_path / "b", force=False) as second:
            fill(second)
    assert names(tmp_path) == ["a", "b"]


def test_where_there_are_no_locks_nothing_is_taken_for_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_lock: object, *_arguments: object, **_names: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", refuse)
    running = tmp_path / f".out.partial-{'0' * 16}"
    running.mkdir()
    running.with_name(f"{running.name}.lock").touch()
    with atomic_folder(tmp_path / "out", force=False) as partial:
        fill(partial)
    assert names(tmp_path) == [running.name, f"{running.name}.lock", "out"]


@pytest.mark.parametrize("name", ["out", "out [1]*"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_kill_between_the_two_renames_loses_nothing(fails: bool, name: str, tmp_path: Path) -> None:
    """The old folder is moved aside, the new one is not in its place yet."""
    out = tmp_path / name
    old, new = (tmp_path / f".{name}.{kind}-{'0' * 16}" for kind in ("replaced", "partial"))
    for folder in (old, new):
        folder.mkdir()
        fill(folder, "old")
    with pytest.raises(FolderExistsError):
        check_target(out, force=False)
    assert (out / "e5.json").read_text() == "old"
    with suppress(ValueError), atomic_folder(out, force=True) as partial:
        fill(partial)
        if fails:
            raise ValueError
    assert (out / "e5.json").read_text() == ("old" if fails else "new")
    assert names(tmp_path) == [name]


def test_a_full_disk_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(0, 0, 5_000_000))
    require_space(tmp_path / "not" / "there", 5_000_000)
    with pytest.raises(DiskSpaceError, match="needs 6 MB, 5 MB are free"):
        require_space(tmp_path / "not" / "there", 6_000_000)
