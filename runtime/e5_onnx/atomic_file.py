"""Files that are there whole or not at all, whatever happens to the process or the power."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic_file(target: Path, *, workplace: Path | None = None) -> Iterator[IO[bytes]]:
    """Opens a file that appears under its name, or replaces what was there, only when it is complete.

    Args:
        target: The name.
        workplace: Where it is written meanwhile, on the same file system; None for beside the target.

    Raises:
        OSError: If it cannot be written; then nothing is left of it.
    """
    partial = (workplace or target.parent) / f".{target.name}.partial-{secrets.token_hex(8)}"
    try:
        # Mode "x" has the system apply the umask; asking for it would set it, for all threads.
        with partial.open("xb") as file:
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
