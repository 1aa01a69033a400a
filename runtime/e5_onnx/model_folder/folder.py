"""A model folder, opened and checked as far as can be done without reading gigabytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.errors import (
    CheckpointFolderError,
    FolderNotFoundError,
    IntegrityError,
    ManifestError,
    MissingFileError,
    OptionError,
    StandardGraphError,
    UnsafeFolderError,
)
from e5_onnx.model_folder.digest import file_sha256, sampled_sha256
from e5_onnx.model_folder.graph_scan import scan_graph
from e5_onnx.model_folder.hub_links import is_hub_link
from e5_onnx.model_folder.manifest import (
    GRAPH_NAME,
    MANIFEST_LIMIT,
    MANIFEST_NAME,
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    FileEntry,
    Manifest,
    parse_manifest,
)

_LINKED_OUT: Final = "it is a link out of the folder (`hf download REPO --local-dir DIR` makes none)"
_REQUIRED: Final = (GRAPH_NAME, WEIGHTS_NAME, TOKENIZER_NAME)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder whose structure is sound.

    Attributes:
        path: The folder.
        manifest: Its e5.json.
    """

    path: Path
    manifest: Manifest

    @property
    def size_bytes(self) -> int:
        """Bytes of all listed files."""
        return sum(entry.bytes for entry in self.manifest.files.values())

    def check(self) -> None:
        """Checks what is checked every time a folder is opened for use.

        That is: every file's size, the sha256 of all but the weights, the operators of the graph, and a
        sampled digest of the weights; their sha256 where they are a link, which may lead out of the folder.

        Raises:
            FolderError: A leaf of it, naming the file.
        """
        for name, entry in self.manifest.files.items():
            if name != WEIGHTS_NAME:
                _check_hash(self.path / name, entry)
        weights = self.manifest.files[WEIGHTS_NAME]
        scan = scan_graph((self.path / GRAPH_NAME).read_bytes(), weights_size=weights.bytes)
        if (self.path / WEIGHTS_NAME).is_symlink():
            _check_hash(self.path / WEIGHTS_NAME, weights)
        elif weights.sampled_sha256 is not None:
            found = sampled_sha256(self.path / WEIGHTS_NAME, scan.extents)
            if found != weights.sampled_sha256:
                raise IntegrityError(
                    WEIGHTS_NAME, "the sampled sha256", expected=weights.sampled_sha256, found=found
                )

    def check_everything(self) -> None:
        """Checks as `check` does, and the sha256 of the weights.

        Raises:
            FolderError: A leaf of it, naming the file.
        """
        self.check()
        _check_hash(self.path / WEIGHTS_NAME, self.manifest.files[WEIGHTS_NAME])


def folder_path(folder: str | os.PathLike[str]) -> Path:
    """Returns the path of a folder as a caller named it.

    Raises:
        OptionError: If it is no path.
    """
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise OptionError("folder", folder, "the path of a model folder")
    return Path(folder)


def open_folder(path: Path) -> ModelFolder:
    """Reads the manifest and checks that every file is there, is inside, and has its size.

    Args:
        path: The folder.

    Returns:
        The folder with its manifest.

    Raises:
        FolderError: A leaf of it: missing, half-written, newer, truncated, escaping, or made for other tools.
    """
    if not path.is_dir():
        raise FolderNotFoundError(path)
    manifest = parse_manifest(_read_manifest(path))
    for name in _REQUIRED:
        if name not in manifest.files:
            raise ManifestError("files", f"does not list {name}")
    for name, entry in manifest.files.items():
        _check_file(path, name, entry)
    return ModelFolder(path, manifest)


def _read_manifest(path: Path) -> str:
    file = path / MANIFEST_NAME
    if not file.is_file():
        if (path / "onnx" / GRAPH_NAME).is_file():
            raise StandardGraphError(path)
        if (path / "config.json").is_file():
            raise CheckpointFolderError(path)
        raise MissingFileError(path, MANIFEST_NAME)
    if _leads_out(path, file):
        raise UnsafeFolderError(MANIFEST_NAME, _LINKED_OUT)
    if file.stat().st_size > MANIFEST_LIMIT:
        raise UnsafeFolderError(MANIFEST_NAME, f"it is larger than {MANIFEST_LIMIT // 1_000_000} MB")
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError("the file", "is not UTF-8") from error


def _check_file(folder: Path, name: str, entry: FileEntry) -> None:
    file = folder / name
    if not file.is_file():
        raise MissingFileError(folder, name)
    if _leads_out(folder, file):
        raise UnsafeFolderError(name, _LINKED_OUT)
    size = file.stat().st_size
    if size != entry.bytes:
        raise IntegrityError(name, "the size in bytes", expected=entry.bytes, found=size)


def _leads_out(folder: Path, file: Path) -> bool:
    return file.resolve().parent != folder.resolve() and not is_hub_link(file)


def _check_hash(file: Path, entry: FileEntry) -> None:
    found = file_sha256(file)
    if found != entry.sha256:
        raise IntegrityError(file.name, "the sha256", expected=entry.sha256, found=found)
