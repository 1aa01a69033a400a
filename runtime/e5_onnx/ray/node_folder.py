"""A model folder where a node can map it: as it is, or fetched once for all the node's processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

import pyarrow as pa
from filelock import FileLock
from pyarrow import fs

from e5_onnx.atomic_file import sync_files, sync_folder
from e5_onnx.bulk.errors import ModelPlaceError
from e5_onnx.folder import open_folder
from e5_onnx.manifest import MANIFEST_NAME, parse_manifest
from e5_onnx.prepacked.place import cache_root, open_place

_PLACE: Final = "folders"
_MANIFEST_LIMIT: Final = 4_000_000


def node_folder(model: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the path, on this node, of a model folder.

    Args:
        model: A path, or a URI that pyarrow opens: `s3://`, `gs://`, `hdfs://`, `file://`. What a URI names
            is copied once and every hash of it is checked; after that its e5.json alone is read, which says
            whether the copy is still of the same model.
        cache_dir: Where copies are kept; None for the environment's `E5_ONNX_CACHE`, or `~/.cache/e5-onnx`.

    Raises:
        ModelPlaceError: If nothing can be fetched from the URI.
        UnsafeCacheError: If others can write where copies are kept.
        FolderError: A leaf of it, if there is no model folder or it is damaged.
        OSError: If a copy cannot be written.
    """
    name = os.fspath(model)
    if "://" not in name:
        return open_folder(Path(name)).path
    source, path, manifest = _remote_manifest(name)
    parsed = parse_manifest(manifest.decode("utf-8", "replace"))
    root = cache_root(cache_dir) or Path.home() / ".cache" / "e5-onnx"
    place = open_place(root, _PLACE)
    copy = place / parsed.fingerprint
    with FileLock(f"{copy}.lock"):
        if not copy.is_dir():
            _fetch(source, path, names=[MANIFEST_NAME, *parsed.files], copy=copy)
    return copy


def _remote_manifest(uri: str) -> tuple[fs.FileSystem, str, bytes]:
    try:
        source, path = fs.FileSystem.from_uri(uri)
        with source.open_input_stream(f"{path}/{MANIFEST_NAME}") as file:
            return source, path, file.read(_MANIFEST_LIMIT)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ModelPlaceError(uri, str(error)) from error


def _fetch(source: fs.FileSystem, path: str, *, names: list[str], copy: Path) -> None:
    """Copies what a manifest lists, and nothing else, and lets it be seen when all of it is right."""
    with tempfile.TemporaryDirectory(prefix=f".{copy.name}.partial-", dir=copy.parent) as partial:
        fetched = Path(partial) / copy.name
        for name in names:
            target = fetched / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open_input_stream(f"{path}/{name}") as remote, target.open("wb") as file:
                shutil.copyfileobj(remote, file, 1 << 20)
        open_folder(fetched).check_everything()
        sync_files(fetched)
        fetched.rename(copy)
        sync_folder(copy.parent)
