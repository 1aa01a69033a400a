"""A session with packed weights from the cache, or without where that cannot be had."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from e5_onnx.errors import CacheWarning, ModelLoadError, UnsafeCacheError
from e5_onnx.inference.session import Session
from e5_onnx.model_folder.folder import ModelFolder
from e5_onnx.prepacked.cache import PrepackedCache
from e5_onnx.prepacked.entry import packed_for
from e5_onnx.prepacked.place import cache_root


def open_session(
    opened: ModelFolder,
    threads: int,
    *,
    exact_int8: bool,
    spinning: bool,
    cache_dir: str | os.PathLike[str] | None,
    whole: bool,
) -> Session:
    """Loads a folder's graph, through the cache if there is to be one.

    A cache that has no room or is damaged costs a warning and not the model.

    Args:
        opened: The folder, checked.
        threads: Number of threads of the session.
        exact_int8: Whether to use the slower exact kernels.
        spinning: Whether threads that wait do not sleep (`session_options`).
        cache_dir: The cache; None asks the environment.
        whole: Whether to hash every byte of the cached copy, too.

    Raises:
        UnsafeCacheError: If others could have written to the cache.
        ModelLoadError: If onnxruntime refuses the folder itself.
    """
    root = cache_root(cache_dir)
    if root is not None:
        try:
            return _cached(opened, threads, exact_int8=exact_int8, spinning=spinning, root=root, whole=whole)
        except UnsafeCacheError:
            raise
        except (OSError, ModelLoadError) as error:
            warnings.warn(CacheWarning(root, str(error)), stacklevel=5)
    return Session(opened.path, threads, exact_int8=exact_int8, spinning=spinning)


def _cached(
    opened: ModelFolder, threads: int, *, exact_int8: bool, spinning: bool, root: Path, whole: bool
) -> Session:
    cache = PrepackedCache(root)
    purpose = packed_for(opened.manifest, exact_int8=exact_int8)
    folder = cache.find(purpose, whole=whole) or cache.make(opened, purpose)
    try:
        return Session(folder, threads, exact_int8=exact_int8, optimised=True, spinning=spinning)
    except ModelLoadError:
        cache.remove(folder)
        raise
