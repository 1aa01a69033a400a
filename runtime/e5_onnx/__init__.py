"""Text to normalised vectors on a CPU, from a model folder that e5-export made.

Examples:
    >>> from e5_onnx import Embedder
    >>> with Embedder("my-e5") as model:
    ...     vectors = model.embed_documents(["Paris is the capital of France."])
    >>> len(vectors)
    1
"""

from __future__ import annotations

from importlib.metadata import version

from e5_onnx import errors as _errors
from e5_onnx.embedder import Embedder
from e5_onnx.errors import (
    CacheWarning,
    CheckpointFolderError,
    ClosedError,
    E5Error,
    FingerprintError,
    FolderError,
    FolderNotFoundError,
    ForkedError,
    FormatVersionError,
    InferenceError,
    InputError,
    IntegrityError,
    LoneSurrogateError,
    ManifestError,
    MissingExtraError,
    MissingFileError,
    ModelLoadError,
    NotTextsError,
    OptionError,
    RecordError,
    RoleError,
    RoleMissingError,
    RuntimeTooOldError,
    StandardGraphError,
    TaskError,
    TemplateTooLongError,
    TextTooLongError,
    TextTypeError,
    TruncationWarning,
    UnsafeCacheError,
    UnsafeFolderError,
)
from e5_onnx.inference.encoded import Encoded
from e5_onnx.inference.exact_int8 import ExactInt8
from e5_onnx.inference.options import Mode
from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.recipes import Role
from e5_onnx.tokens.tokenization import OverflowPolicy, TokenizerChoice
from e5_onnx.verify import VerifyReport, verify_folder

__all__ = [
    "CacheWarning",
    "CheckpointFolderError",
    "ClosedError",
    "E5Error",
    "Embedder",
    "Encoded",
    "ExactInt8",
    "FingerprintError",
    "FolderError",
    "FolderNotFoundError",
    "ForkedError",
    "FormatVersionError",
    "InferenceError",
    "InputError",
    "IntegrityError",
    "LoneSurrogateError",
    "Manifest",
    "ManifestError",
    "MissingExtraError",
    "MissingFileError",
    "Mode",
    "ModelLoadError",
    "NotTextsError",
    "OptionError",
    "OverflowPolicy",
    "RecordError",
    "Role",
    "RoleError",
    "RoleMissingError",
    "RuntimeTooOldError",
    "StandardGraphError",
    "TaskError",
    "TemplateTooLongError",
    "TextTooLongError",
    "TextTypeError",
    "TokenizerChoice",
    "TruncationWarning",
    "UnsafeCacheError",
    "UnsafeFolderError",
    "VerifyReport",
    "__version__",
    "verify_folder",
]

__version__ = version("e5-onnx")

# So that a traceback shows the name by which an error is imported.
for _name in _errors.__all__:
    getattr(_errors, _name).__module__ = __name__
