"""A folder that is either there and whole, or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from e5_onnx.atomic_file import sync_files
from e5_onnx.manifest import MANIFEST_NAME
from e5_onnx_export.errors import DiskSpaceError, OutputExistsError

_PARTIAL: Final = ".partial-"
_REPLACED: Final = ".replaced-"


@contextmanager
def atomic_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """Gives a folder to fill, beside the target, and puts it in the target's place if all goes well.

    If the block raises, whatever was written is removed. A killed process leaves only a hidden folder with
    `.partial-` in its name, which the next export to the same target removes.

    Args:
        target: The folder to make.
        force: Whether a model folder that stands there is replaced.

    Yields:
        An empty folder on the same file system.

    Raises:
        OutputExistsError: If the target exists and may not be replaced.
    """
    check_target(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}{_PARTIAL}{os.getpid()}-", dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp makes it private
        sync_files(partial)
        _put_in_place(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def check_target(target: Path, *, force: bool) -> None:
    """Refuses a target that exists, unless `force` is set and it is a model folder or empty.

    An old folder that a killed export had moved aside is moved back first: it is all that there is.

    Raises:
        OutputExistsError: If so. A folder of anything else is never deleted, whatever `force` says.
    """
    if not target.exists() and (moved := _leftovers(target, _REPLACED)):
        moved[-1].rename(target)
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise OutputExistsError(target)
    if not target.is_dir() or target.is_symlink() or not _is_ours(target):
        raise OutputExistsError(target, "it is not a model folder, so --force does not delete it")


def require_space(target: Path, needed: int) -> None:
    """Refuses a disk with less than `needed` bytes free.

    Raises:
        DiskSpaceError: If so.
    """
    existing = next(parent for parent in target.absolute().parents if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DiskSpaceError(target, needed=needed, free=free)


def _is_ours(folder: Path) -> bool:
    standard = folder / "onnx" / "model.onnx"
    return (folder / MANIFEST_NAME).is_file() or standard.is_file() or not any(folder.iterdir())


def _remove_leftovers(target: Path) -> None:
    for leftover in _leftovers(target, _PARTIAL) + _leftovers(target, _REPLACED):
        shutil.rmtree(leftover, ignore_errors=True)


def _leftovers(target: Path, kind: str) -> list[Path]:
    """What exports to the target left when they were killed; nothing of one that still runs."""
    start = f".{target.name}{kind}"
    beside = target.parent.iterdir() if target.parent.is_dir() else ()
    found = [path for path in beside if path.name.startswith(start)]
    return sorted(path for path in found if not _has_owner(path.name.removeprefix(start).split("-")[0]))


def _has_owner(pid: str) -> bool:
    return pid.isdigit() and _is_running(int(pid))


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _put_in_place(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    # A full folder cannot be replaced in one step: for a moment there is none, never half of one.
    old = target.with_name(f".{target.name}{_REPLACED}{os.getpid()}-0")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
