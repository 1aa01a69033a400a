"""The folder of the cache: private to its owner (mode 0700)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from e5_onnx.errors import UnsafeCacheError

ENVIRONMENT: Final = "E5_ONNX_CACHE"
_NAME: Final = "prepacked"
_OWNER_ONLY: Final = 0o700


def cache_root(chosen: str | os.PathLike[str] | None) -> Path | None:
    """Returns the folder that was asked for, by argument or by environment; None if the cache is off."""
    named = os.fspath(chosen) if chosen is not None else os.environ.get(ENVIRONMENT, "")
    return Path(named) if named else None


def has_place(root: Path) -> bool:
    """Whether packed weights were ever kept in `root`; nothing is made there."""
    return (root / _NAME).exists()


def open_place(root: Path, name: str = _NAME) -> Path:
    """Makes the cache's own folder in `root`, for its owner only, or checks the one that is there.

    A graph that is loaded from a file is code that runs: whoever could write here could run theirs.

    Args:
        root: As chosen by `cache_root`.
        name: The folder's name: one for prepacked weights, one for whole models.

    Raises:
        UnsafeCacheError: If it is a link or no folder, is someone else's, or is open to others.
        OSError: If it cannot be made.
    """
    place = root / name
    place.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeCacheError(place, "is a link", "remove it")
    # Windows has neither owners nor modes of this kind; a user's own folders are closed there.
    if hasattr(os, "geteuid"):
        if found.st_uid != os.geteuid():
            raise UnsafeCacheError(place, f"belongs to user {found.st_uid}", "choose a folder of your own")
        if stat.S_IMODE(found.st_mode) & ~_OWNER_ONLY:
            raise UnsafeCacheError(place, "is open to others", f"`chmod 700 {place}`")
    return place
