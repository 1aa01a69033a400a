"""A disk with little room: a file system in memory where one may be mounted, else a limit for files."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of a file system itself: tmpfs rounds up to whole pages and counts folders.
_LEAST = 16_384


@contextmanager
def small_disk(folder: Path, room: int) -> Iterator[bool]:
    """Mounts a file system of so many bytes at a folder that is made.

    Yields:
        False where nothing may be mounted: then `limit_files` has to do.
    """
    folder.mkdir(parents=True)
    mount, umount = shutil.which("mount"), shutil.which("umount")
    words = ["-t", "tmpfs", "-o", f"size={max(room, _LEAST)},mode=700", "tmpfs", str(folder)]
    mounted = bool(mount and umount) and _works([str(mount), *words])
    try:
        yield mounted
    finally:
        if mounted:
            _works([str(umount), "--lazy", str(folder)])


def limit_files(process: int, room: int) -> None:
    """Lets a process write no file beyond so many bytes."""
    resource.prlimit(process, resource.RLIMIT_FSIZE, (room, room))


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - mount
