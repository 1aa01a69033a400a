"""Files that are there whole or not at all, whatever happens to the process or the power."""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any

# Windows has none, and needs none: it removes no file that a process has open.
_fcntl: Any = import_module("fcntl") if os.name == "posix" else None


@contextmanager
def atomic_file(target: Path, *, workplace: Path | None = None) -> Iterator[IO[bytes]]:
    """Opens a file that appears under its name, or replaces what was there, only when it is complete.

    What processes that were killed left of the same file is removed.

    Args:
        target: The name.
        workplace: The folder for the unfinished file, on the same file system; None for the target's folder.

    Raises:
        OSError: If it cannot be written; then nothing is left of it.
    """
    folder, begin = workplace or target.parent, f".{target.name}.partial-"
    for left in folder.glob(f"{glob.escape(begin)}*"):
        _remove_abandoned(left)
    partial = folder / f"{begin}{secrets.token_hex(8)}"
    try:
        # Mode "x" has the system apply the umask; asking for it would set it, for all threads.
        with partial.open("xb") as file:
            with suppress(OSError):  # some file systems have no locks
                _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        sync_folder(target.parent)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(target)  # a full disk does not say for which file
        raise


def _remove_abandoned(partial: Path) -> None:
    """Removes a partial file, unless a process that is alive writes it."""
    with suppress(OSError):
        with partial.open("rb") as file:
            _lock(file)
        partial.unlink()


def _lock(file: IO[bytes]) -> None:
    """Locks a file until it is closed, or its process ends.

    Raises:
        OSError: If another process has it, or the file system has no locks.
    """
    if _fcntl is not None:
        _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)


def sync_files(folder: Path) -> None:
    """Makes the content of every file in a folder, at any depth, survive a loss of power.

    Raises:
        OSError: If one cannot be opened or written.
    """
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:  # Windows syncs only what could be written
                os.fsync(opened.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a loss of power, where the system can be told to."""
    # Windows opens no folders.
    flag = getattr(os, "O_DIRECTORY", None)
    if flag is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | flag)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
