"""Every error the exporter raises on purpose; its root is the runtime's.

e5_onnx.E5Error
└── ExportError
    ├── SourceError                    the checkpoint cannot be had or read
    │   ├── SourceNotFoundError        (FileNotFoundError)
    │   ├── HubError                   (OSError)
    │   ├── CheckpointError            (ValueError)    a file of it is missing, damaged or malformed
    │   ├── RevisionError              (ValueError)    a revision of something that has none
    │   └── UnsupportedModelError      (ValueError)    something of the model that no graph here does
    │       └── UnsupportedArchitectureError           its encoder is of another kind
    ├── ExportRequestError             (ValueError)    options that do not go together
    ├── RecipeError                    (ValueError)    recipe, pooling or prompts are wrong or in conflict
    │   ├── UnknownRecipeError                         nothing says which recipe: the caller must
    │   └── UnknownPoolingError                        nothing says how it pools: the caller must
    ├── CalibrationError               (ValueError)    the file given with --calibration cannot be used
    ├── CardError                      (ValueError)    results that cannot be merged into a folder's card
    ├── HubUploadError                 (OSError)
    ├── FolderExistsError              (FileExistsError)
    ├── DiskSpaceError                 (OSError)
    ├── ToolError                      (RuntimeError)  optimum or another third-party tool failed
    └── ParityError                    (ValueError)    the exported vectors are too far from the reference's
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e5_onnx.errors import E5Error


class ExportError(E5Error):
    """Something is wrong with an export."""


class SourceError(ExportError):
    """The checkpoint cannot be had or read."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = source, reason
        super().__init__(f"{source}: {reason}")

    # OSError's own __str__ would print only errno fields, which are not set here.
    __str__ = Exception.__str__


class HubError(SourceError, OSError):
    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = source, reason
        super().__init__(f"{source} cannot be downloaded: {reason}")

    __str__ = Exception.__str__


class CheckpointError(SourceError, ValueError):
    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file}: {reason}")


class RevisionError(SourceError, ValueError):
    def __init__(self, source: str, what: str) -> None:
        self.source, self.what = source, what
        super().__init__(f"{source} is {what}, which has no revisions: leave `revision` out")


class UnsupportedModelError(SourceError, ValueError):
    def __init__(self, source: str, found: str) -> None:
        self.source, self.found = source, found
        super().__init__(f"{source}: {found}")


class UnsupportedArchitectureError(UnsupportedModelError):
    def __init__(self, source: str, found: str, supported: Sequence[str]) -> None:
        self.supported = tuple(supported)
        *others, last = self.supported
        super().__init__(
            source,
            f"{found}; e5-export takes {', '.join(others)} and {last} encoders with absolute positions and "
            "GELU",
        )


class ExportRequestError(ExportError, ValueError):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class RecipeError(ExportError, ValueError):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class UnknownRecipeError(RecipeError):
    def __init__(self, source: str, choices: Sequence[str]) -> None:
        self.source, self.choices = source, tuple(choices)
        rows = "".join(f"\n  {choice}" for choice in choices)
        super().__init__(f"{source} is not a known model, so its recipe must be given; one of{rows}")


class UnknownPoolingError(RecipeError):
    def __init__(self, source: str, choices: Sequence[str]) -> None:
        self.source, self.choices = source, tuple(choices)
        super().__init__(
            f"{source} has no modules.json with a Pooling module, so its pooling must be given: "
            f"pooling={'|'.join(map(repr, choices))}"
        )


class CalibrationError(ExportError, ValueError):
    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"calibration file {file}: {reason}")


class CardError(ExportError, ValueError):
    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file}: {reason}")


class HubUploadError(ExportError, OSError):
    def __init__(self, repository: str, reason: str) -> None:
        self.repository, self.reason = repository, reason
        super().__init__(f"{repository} cannot be uploaded: {reason}")

    __str__ = Exception.__str__


class FolderExistsError(ExportError, FileExistsError):
    def __init__(
        self, path: Path, reason: str = "replace it with force=True, or choose another folder"
    ) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} exists: {reason}")

    __str__ = Exception.__str__


class DiskSpaceError(ExportError, OSError):
    def __init__(self, path: Path, *, needed: int, free: int) -> None:
        self.path, self.needed, self.free = path, needed, free
        super().__init__(
            f"{path}: the export needs {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free: free some room "
            "or choose another disk"
        )

    __str__ = Exception.__str__


class ToolError(ExportError, RuntimeError):
    def __init__(self, tool: str, reason: BaseException, *, extra: str) -> None:
        self.tool, self.reason, self.extra = tool, reason, extra
        super().__init__(
            f"{tool} failed with {type(reason).__name__}: {reason}; its version may not go with the others: "
            f"`pip install 'e5-onnx[{extra}]'` in an environment of its own"
        )


class ParityError(ExportError, ValueError):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}; nothing was written")
