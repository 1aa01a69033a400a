"""What is wrong with a model folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from e5_onnx.errors.root import E5Error

COPY_AGAIN: Final = "copy the folder again or export it again"
# A path that looks like one is one if its parent folder is there.
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class FolderError(E5Error):
    """Something is wrong with the model folder."""


class FolderNotFoundError(FolderError, FileNotFoundError):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"no model folder at {folder}: {self._remedy()}")

    def _remedy(self) -> str:
        if not _HUB_ID.fullmatch(self.folder.as_posix()) or self.folder.parent.is_dir():
            return f"make one with `e5-export SOURCE {self.folder}`"
        name = self.folder.name
        if Path(name).is_dir():
            return f"if it is a model of the Hugging Face hub, open {name}, which is here"
        return (
            f"if it is a model of the Hugging Face hub, make its folder with "
            f"`e5-export {self.folder.as_posix()}` and open {name}"
        )


class CheckpointFolderError(FolderError, ValueError):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder} holds a checkpoint, not a model folder: make one of it with `e5-export {folder} OUT` "
            "and open OUT"
        )


class MissingFileError(FolderError, FileNotFoundError):
    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        super().__init__(
            f"{folder} has no {name}: the folder is incomplete or is not one that e5-export made; "
            "copy it again or export it again"
        )


class ManifestError(FolderError, ValueError):
    def __init__(self, where: str, found: str) -> None:
        self.where, self.found = where, found
        super().__init__(f"e5.json: {where}: {found}; export the model again")


class FormatVersionError(FolderError, ValueError):
    def __init__(self, found: Sequence[int], supported: Sequence[int], unknown: str = "") -> None:
        self.found, self.supported, self.unknown = tuple(found), tuple(supported), unknown
        made_by = f"the folder has format {'.'.join(map(str, found))}"
        if unknown:
            reads = ".".join(map(str, supported))
            reason = f"{unknown}: {made_by} and was made by a newer e5-onnx, this one knows {reads}"
        else:
            reason = f"{made_by}, this e5-onnx reads {supported[0]}.x"
        super().__init__(f"{reason}: upgrade with `pip install -U e5-onnx`")


class StandardGraphError(FolderError, ValueError):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder} holds a standard ONNX export (`last_hidden_state`) for other tools; "
            "Embedder needs the unpadded graph: export it again with e5-export's default graph"
        )


class IntegrityError(FolderError, ValueError):
    def __init__(
        self, name: str, what: str, *, expected: object, found: object, remedy: str = COPY_AGAIN
    ) -> None:
        self.name, self.what, self.expected, self.found, self.remedy = name, what, expected, found, remedy
        super().__init__(
            f"{name}: {what} is {found}, the manifest says {expected}: the file is damaged or was "
            f"exchanged; {remedy}"
        )


class UnsafeFolderError(FolderError, ValueError):
    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name}: {reason}; a model folder may not do that, so it was not opened")


class FingerprintError(FolderError, ValueError):
    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"the folder's fingerprint is {found}, but {expected} was asked for")


class RuntimeTooOldError(FolderError, RuntimeError):
    def __init__(self, required: str, installed: str) -> None:
        self.required, self.installed = required, installed
        super().__init__(
            f"this folder needs onnxruntime {required} or newer, {installed} is installed: "
            "`pip install -U onnxruntime`"
        )


class ModelLoadError(FolderError, RuntimeError):
    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name} cannot be loaded: {reason}")
