"""Open models, shared: some libraries make a new object of an integration for every query."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from e5_onnx.embedder import Embedder
from e5_onnx.model_folder.folder import folder_path, open_folder
from e5_onnx.tokens.tokenization import OverflowPolicy

_Key = tuple[int, Path, str, int | None, OverflowPolicy]

_OPEN: Final[WeakValueDictionary[_Key, Embedder]] = WeakValueDictionary()
_LOCK: Final = Lock()


def shared_embedder(
    folder: str | os.PathLike[str], *, threads: int | None = None, overflow: OverflowPolicy = "warn"
) -> Embedder:
    """Opens a folder, or returns the Embedder that it is open in already.

    It is closed when nobody refers to it any more; callers do not close it.

    Args:
        folder: A model folder.
        threads: As for Embedder.
        overflow: As for Embedder.

    Raises:
        FolderError: A leaf of it says what is wrong with the folder.
        OptionError: For a value out of range.
    """
    path = folder_path(folder).absolute()
    # A folder that was exported again may hold another model, and a fork has to open its own.
    key = (os.getpid(), path, open_folder(path).manifest.fingerprint, threads, overflow)
    with _LOCK:
        embedder = _OPEN.get(key)
        if embedder is None:
            embedder = _OPEN[key] = Embedder(path, threads=threads, overflow=overflow)
        return embedder
