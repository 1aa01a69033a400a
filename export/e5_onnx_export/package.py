"""A folder that is either there and whole, or not there."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from e5_onnx.machine.atomic_file import sync_files
from e5_onnx.model_folder.manifest import MANIFEST_NAME
from e5_onnx_export.errors import DiskSpaceError, FolderExistsError

_PARTIAL: Final = ".partial-"
_REPLACED: Final = ".replaced-"
_LOCK: Final = ".lock"
_OWNER_BYTES: Final = 8


@contextmanager
def atomic_folder(target: Path, *, force: bool) -> Iterator[Path]:
    """Gives a folder to fill, beside the target, and puts it in the target's place if all goes well.

    If the block raises, whatever was written is removed. A killed process leaves only a hidden folder with
    `.partial-` in its name and a file `.lock` beside it, which the system unlocks when the process ends. The
    next export beside it removes both.

    Args:
        target: The folder to make.
        force: Whether a model folder that stands there is replaced.

    Yields:
        An empty folder on the same file system.

    Raises:
        FolderExistsError: If the target exists and may not be replaced.
    """
    check_target(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    with _owner(target) as owner:
        partial = target.with_name(f".{target.name}{_PARTIAL}{owner}")
        try:
            partial.mkdir(mode=0o700)
            yield partial
            partial.chmod(0o755)
            sync_files(partial)
            _put_in_place(partial, target, owner)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def _owner(target: Path) -> Iterator[str]:
    """Gives a word for the names of one export's folders, and holds its lock."""
    owner = secrets.token_hex(_OWNER_BYTES)
    file = _lock_file(target, owner)
    lock = FileLock(file)
    try:
        with suppress(NotImplementedError):  # some file systems have no locks
            lock.acquire()
        yield owner
    finally:
        lock.release()
        with suppress(OSError):
            file.unlink()


def _lock_file(target: Path, owner: str) -> Path:
    return target.with_name(f".{target.name}{_PARTIAL}{owner}{_LOCK}")


def check_target(target: Path, *, force: bool) -> None:
    """Refuses a target that exists, unless `force` is set and it is a model folder or empty.

    An old folder that a killed export had moved aside is moved back first: it is all that there is.

    Raises:
        FolderExistsError: If so. A folder of anything else is never deleted, whatever `force` says.
    """
    if not target.exists() and (moved := _leftovers(target, _REPLACED)):
        moved[-1].rename(target)
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise FolderExistsError(target)
    if not target.is_dir() or target.is_symlink() or not _is_ours(target):
        raise FolderExistsError(target, "it is not a model folder, so force=True does not delete it")


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
    """Removes what killed exports left: all of this target, and the new halves of others beside it."""
    owner = "[0-9a-f]" * (2 * _OWNER_BYTES)
    for lock in target.parent.glob(f".*{_PARTIAL}{owner}{_LOCK}"):
        if not _is_held(lock):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
    for leftover in _leftovers(target, _PARTIAL) + _leftovers(target, _REPLACED):
        shutil.rmtree(leftover, ignore_errors=True)


def _leftovers(target: Path, kind: str) -> list[Path]:
    """Returns the remains of killed exports to the target, without those that still run."""
    start = f".{target.name}{kind}"
    beside = target.parent.iterdir() if target.parent.is_dir() else ()
    found = [path for path in beside if path.name.startswith(start) and path.is_dir()]
    return sorted(path for path in found if not _is_held(_lock_file(target, path.name.removeprefix(start))))


def _is_held(lock: Path) -> bool:
    """Whether the export that made a lock still runs. Process ids say so less surely, and not everywhere."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, NotImplementedError):
        return True


def _put_in_place(partial: Path, target: Path, owner: str) -> None:
    if not target.exists():
        partial.rename(target)
        return
    # A full folder cannot be replaced in one step: for a moment there is none, never half of one.
    old = target.with_name(f".{target.name}{_REPLACED}{owner}")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
