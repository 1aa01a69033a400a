"""A model folder where a node can map it: as it is, or fetched once for all the node's processes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO, Final

import pyarrow as pa
from filelock import FileLock
from pyarrow import fs

from e5_onnx.bulk.errors import ModelPlaceError
from e5_onnx.errors import UnsafeFolderError
from e5_onnx.machine.atomic_file import sync_files, sync_folder
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.manifest import MANIFEST_LIMIT, MANIFEST_NAME, parse_manifest
from e5_onnx.prepacked.place import cache_root, open_place

_PLACE: Final = "folders"
_BLOCK: Final = 1 << 20


def node_folder(model: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Returns the path, on this node, of a model folder.

    Args:
        model: A path, or a URI that pyarrow opens: `s3://`, `gs://`, `hdfs://`, `file://`. What a URI names
            is copied once and every hash of it is checked; after that its e5.json alone is read, which says
            whether the copy is still of the same model.
        cache_dir: The folder for copies; None for the environment's `E5_ONNX_CACHE`, or `~/.cache/e5-onnx`.

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
            _fetch(
                source,
                path,
                manifest,
                sizes={name: file.bytes for name, file in parsed.files.items()},
                copy=copy,
            )
    return copy


def _remote_manifest(uri: str) -> tuple[fs.FileSystem, str, bytes]:
    try:
        source, path = fs.FileSystem.from_uri(uri)
        with source.open_input_stream(f"{path}/{MANIFEST_NAME}") as file:
            manifest = file.read(MANIFEST_LIMIT + 1)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ModelPlaceError(uri, str(error)) from error
    if len(manifest) > MANIFEST_LIMIT:
        raise UnsafeFolderError(MANIFEST_NAME, f"it is larger than {MANIFEST_LIMIT // 1_000_000} MB")
    return source, path, manifest


def _fetch(source: fs.FileSystem, path: str, manifest: bytes, *, sizes: dict[str, int], copy: Path) -> None:
    """Copies what a manifest lists, and nothing else, and lets it be seen when all of it is right."""
    with tempfile.TemporaryDirectory(prefix=f".{copy.name}.partial-", dir=copy.parent) as partial:
        fetched = Path(partial) / copy.name
        fetched.mkdir()
        (fetched / MANIFEST_NAME).write_bytes(manifest)
        for name, size in sizes.items():
            with source.open_input_stream(f"{path}/{name}") as remote, (fetched / name).open("wb") as file:
                _copy(remote, file, size)
        open_folder(fetched).check_everything()
        sync_files(fetched)
        fetched.rename(copy)
        sync_folder(copy.parent)


def _copy(remote: pa.NativeFile, file: IO[bytes], size: int) -> None:
    """Copies a file's declared size, and a byte more where there is one: the check then refuses it."""
    left = max(size, 0) + 1
    while left and (block := remote.read(min(left, _BLOCK))):
        file.write(block)
        left -= len(block)
