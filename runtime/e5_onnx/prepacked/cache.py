"""Entries found, made, listed and removed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.errors import ModelLoadError
from e5_onnx.inference.session import write_prepacked
from e5_onnx.machine.atomic_file import sync_files, sync_folder
from e5_onnx.model_folder.folder import ModelFolder
from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.prepacked.entry import Entry, PackedFor, describe_entry, packed_for, read_entry, write_entry
from e5_onnx.prepacked.place import open_place

_UNFINISHED: Final = ".making-"
_DAMAGED: Final = "this packed copy of the weights is damaged: remove it with `e5 cache clear`"
_ABANDONED_AFTER: Final = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of the cache.

    Attributes:
        folder: The folder of the entry.
        bytes: Size of its files, in bytes.
        entry: Its description; None if it is incomplete or corrupt.
        usable: True if it fits this CPU and onnxruntime.
    """

    folder: Path
    bytes: int
    entry: Entry | None
    usable: bool

    @property
    def is_unfinished(self) -> bool:
        """Whether a process is making it or removing it, or was killed while it did."""
        return self.folder.name.startswith(_UNFINISHED)


class PrepackedCache:
    """A cache folder of one user's."""

    def __init__(self, root: Path) -> None:
        """Opens the folder.

        Raises:
            UnsafeCacheError: If others could have written to it.
            OSError: If it cannot be made.
        """
        self._place = open_place(root)

    def find(self, purpose: PackedFor, *, whole: bool) -> Path | None:
        """The folder of a sound entry. One that is not sound is removed.

        Args:
            purpose: The model and machine that it must fit.
            whole: Whether to hash every byte of it first, and not only a sample.
        """
        folder = self._place / purpose.key
        if not folder.is_dir():
            return None
        entry = read_entry(folder)
        with suppress(OSError):
            if entry is not None and entry.purpose == purpose and entry.is_sound(folder, whole=whole):
                return folder
        self.remove(folder)
        return None

    def make(self, opened: ModelFolder, purpose: PackedFor) -> Path:
        """Packs a folder's weights. Of two processes that do so at once, one's work is used by both.

        Raises:
            ModelLoadError: If onnxruntime cannot write them.
            OSError: If there is no room, or no right to write.
        """
        self._sweep()
        making = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._place))
        try:
            write_prepacked(opened.path, making, exact_int8=purpose.exact_int8)
            write_entry(describe_entry(making, opened, purpose), making)
            sync_files(making)
            return self._publish(making, self._place / purpose.key)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def check(self, manifest: Manifest) -> int:
        """Hashes every byte of what is there for a folder on this machine.

        Returns:
            The number of entries: none, or one for each kind of kernels that was used.

        Raises:
            ModelLoadError: If one is damaged.
        """
        keys = (packed_for(manifest, exact_int8=exact).key for exact in (False, True))
        there = [folder for key in keys if (folder := self._place / key).is_dir()]
        for folder in there:
            entry = read_entry(folder)
            if entry is None or not entry.is_whole(folder):
                raise ModelLoadError(str(folder), _DAMAGED)
        return len(there)

    def entries(self) -> Iterator[Listed]:
        """Everything that is there, by name. What another process removes meanwhile is left out."""
        for folder in sorted(self._place.iterdir()):
            entry = read_entry(folder)
            size = _folder_bytes(folder)
            usable = entry is not None and entry.purpose.fits_this_machine()
            if size is not None:
                yield Listed(folder, size, entry, usable)

    def remove(self, folder: Path) -> None:
        """Removes an entry; a process that has it open keeps its mapped pages."""
        # Renamed first: nobody finds half of it.
        doomed = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._place))
        with suppress(OSError):
            folder.rename(doomed / "entry")
        shutil.rmtree(doomed, ignore_errors=True)

    def _publish(self, making: Path, target: Path) -> Path:
        try:
            making.rename(target)
        except OSError:
            if not target.is_dir():  # another process was first otherwise
                raise
        sync_folder(self._place)
        return target

    def _sweep(self) -> None:
        """Removes what killed processes left behind."""
        for folder in self._place.glob(f"{_UNFINISHED}*"):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER:
                    shutil.rmtree(folder, ignore_errors=True)


def _folder_bytes(folder: Path) -> int | None:
    """The size of a folder's files together; None if it is no folder, or is removed meanwhile."""
    try:
        with os.scandir(folder) as files:
            return sum(file.stat().st_size for file in files)
    except (FileNotFoundError, NotADirectoryError):
        return None
