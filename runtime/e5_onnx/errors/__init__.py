"""Every error the runtime raises on purpose.

A message names parameters as Python writes them, `role` or overflow='error'; `e5_onnx.cli.flags` turns these
into the command line's words.

E5Error
├── FolderError                  something is wrong with the model folder
│   ├── FolderNotFoundError      (FileNotFoundError)
│   ├── CheckpointFolderError    (ValueError)    a checkpoint that e5-export has to make a folder of
│   ├── MissingFileError         (FileNotFoundError)
│   ├── ManifestError            (ValueError)    e5.json cannot be read as a manifest
│   ├── FormatVersionError       (ValueError)    the folder is of a newer major format
│   ├── StandardGraphError       (ValueError)    made for other tools, not for Embedder
│   ├── IntegrityError           (ValueError)    size, hash or golden vector differs
│   ├── UnsafeFolderError        (ValueError)    it refers to files outside or to third-party code
│   ├── FingerprintError         (ValueError)    not the folder that was pinned
│   ├── RuntimeTooOldError       (RuntimeError)  the installed onnxruntime cannot run the graph
│   └── ModelLoadError           (RuntimeError)  onnxruntime or the tokenizer refused a file
├── InputError                   something is wrong with what the caller passed
│   ├── NotTextsError            (TypeError)     no iterable of texts
│   ├── TextTypeError            (TypeError)     one of the texts is no str
│   ├── LoneSurrogateError       (ValueError)
│   ├── TextTooLongError         (ValueError)
│   ├── TemplateTooLongError     (ValueError)
│   ├── RoleMissingError         (TypeError)     a method that does not say query, document or raw
│   ├── RoleError                (ValueError)
│   ├── TaskError                (ValueError)
│   ├── OptionError              (ValueError)
│   └── RecordError              (ValueError)    a line of an input file
├── ClosedError                  (RuntimeError)  the Embedder was closed
├── ForkedError                  (RuntimeError)  the Embedder was opened before a fork
├── UnsafeCacheError             (PermissionError)  others could write to the cache of packed weights
├── InferenceError               (RuntimeError)  onnxruntime failed while running a batch
└── MissingExtraError            (ImportError)   an optional dependency is not installed

Beside the tree stand two warnings, TruncationWarning and CacheWarning.
"""

from __future__ import annotations

from e5_onnx.errors.folder import (
    CheckpointFolderError,
    FingerprintError,
    FolderError,
    FolderNotFoundError,
    FormatVersionError,
    IntegrityError,
    ManifestError,
    MissingFileError,
    ModelLoadError,
    RuntimeTooOldError,
    StandardGraphError,
    UnsafeFolderError,
)
from e5_onnx.errors.input import (
    InputError,
    LoneSurrogateError,
    NotTextsError,
    OptionError,
    RecordError,
    RoleError,
    RoleMissingError,
    TaskError,
    TemplateTooLongError,
    TextTooLongError,
    TextTypeError,
)
from e5_onnx.errors.notices import (
    CacheWarning,
    TruncationWarning,
)
from e5_onnx.errors.root import (
    ClosedError,
    E5Error,
    ForkedError,
    InferenceError,
    MissingExtraError,
    UnsafeCacheError,
)

__all__ = [
    "CacheWarning",
    "CheckpointFolderError",
    "ClosedError",
    "E5Error",
    "FingerprintError",
    "FolderError",
    "FolderNotFoundError",
    "ForkedError",
    "FormatVersionError",
    "InferenceError",
    "InputError",
    "IntegrityError",
    "LoneSurrogateError",
    "ManifestError",
    "MissingExtraError",
    "MissingFileError",
    "ModelLoadError",
    "NotTextsError",
    "OptionError",
    "RecordError",
    "RoleError",
    "RoleMissingError",
    "RuntimeTooOldError",
    "StandardGraphError",
    "TaskError",
    "TemplateTooLongError",
    "TextTooLongError",
    "TextTypeError",
    "TruncationWarning",
    "UnsafeCacheError",
    "UnsafeFolderError",
]
