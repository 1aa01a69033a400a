"""Every error the runtime raises on purpose.

A message names parameters as Python writes them, `role` or overflow='error'; `e5_onnx.cli.flags` turns these
into the command line's words.

E5Error
├── FolderError                  something is wrong with the model folder
│   ├── FolderNotFoundError      (FileNotFoundError)
│   ├── MissingFileError         (FileNotFoundError)
│   ├── ManifestError            (ValueError)    e5.json cannot be read as a manifest
│   ├── FormatVersionError       (ValueError)    the folder is of a newer major format
│   ├── StandardGraphError       (ValueError)    made for other tools, not for Embedder
│   ├── IntegrityError           (ValueError)    size, hash or golden vector differs
│   ├── UnsafeFolderError        (ValueError)    it tries to reach outside or to run foreign code
│   ├── FingerprintError         (ValueError)    not the folder that was pinned
│   ├── RuntimeTooOldError       (RuntimeError)  the installed onnxruntime cannot run the graph
│   └── ModelLoadError           (RuntimeError)  onnxruntime or the tokenizer refused a file
├── InputError                   something is wrong with what the caller passed
│   ├── TextTypeError            (TypeError)
│   ├── LoneSurrogateError       (ValueError)
│   ├── TextTooLongError         (ValueError)
│   ├── TemplateTooLongError     (ValueError)
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

from collections.abc import Sequence
from pathlib import Path


class E5Error(Exception):
    """Root of every error that e5-onnx raises on purpose."""

    # A leaf that is also an OSError would print its errno fields, which are not set.
    __str__ = Exception.__str__

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own would call the class with the message, where leaves take the values it is made of.
        return _restore, (type(self), self.args, vars(self))


class FolderError(E5Error):
    """Something is wrong with the model folder."""


class FolderNotFoundError(FolderError, FileNotFoundError):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"no model folder at {folder}: make one with `e5-export SOURCE {folder}`")


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
    def __init__(self, found: Sequence[int], supported: Sequence[int]) -> None:
        self.found, self.supported = tuple(found), tuple(supported)
        super().__init__(
            f"the folder has format {'.'.join(map(str, found))}, this e5-onnx reads "
            f"{supported[0]}.x: upgrade with `pip install -U e5-onnx`"
        )


class StandardGraphError(FolderError, ValueError):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder} holds a standard ONNX export (`last_hidden_state`) for other tools; "
            "Embedder needs the packed graph: export it again with e5-export's default graph"
        )


class IntegrityError(FolderError, ValueError):
    def __init__(self, name: str, what: str, *, expected: object, found: object) -> None:
        self.name, self.what, self.expected, self.found = name, what, expected, found
        super().__init__(
            f"{name}: {what} is {found}, the manifest says {expected}: the file is damaged or was "
            "exchanged; copy the folder again or export it again"
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


class InputError(E5Error):
    """Something is wrong with what the caller passed."""


class TextTypeError(InputError, TypeError):
    def __init__(self, index: int, found: type) -> None:
        self.index, self.found = index, found
        super().__init__(f"text {index} is {found.__name__}, not str")


class LoneSurrogateError(InputError, ValueError):
    def __init__(self, index: int, position: int) -> None:
        self.index, self.position = index, position
        super().__init__(
            f"text {index} has a lone surrogate at character {position}: it is not valid Unicode; "
            "read the file as UTF-8, or repair it with text.encode('utf-8', 'replace').decode()"
        )


class TextTooLongError(InputError, ValueError):
    def __init__(self, index: int, tokens: int, limit: int) -> None:
        self.index, self.tokens, self.limit = index, tokens, limit
        super().__init__(
            f"text {index} has {tokens} tokens, the model takes {limit}: split it, or choose "
            "overflow='truncate' or, for documents, overflow='window'"
        )


class TemplateTooLongError(InputError, ValueError):
    def __init__(self, tokens: int, limit: int) -> None:
        self.tokens, self.limit = tokens, limit
        super().__init__(
            f"the template and task alone take {tokens} of the model's {limit} tokens and leave no "
            "room for the text: shorten the task"
        )


class RoleError(InputError, ValueError):
    def __init__(self, role: object, choices: Sequence[str], reason: str = "unknown role") -> None:
        self.role, self.choices, self.reason = role, tuple(choices), reason
        super().__init__(f"{reason}: {role!r}; choose one of {', '.join(choices)}")


class TaskError(InputError, ValueError):
    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class OptionError(InputError, ValueError):
    def __init__(self, parameter: str, value: object, expected: str) -> None:
        self.parameter, self.value, self.expected = parameter, value, expected
        super().__init__(f"{parameter} is {value!r}; it must be {expected}")


class RecordError(InputError, ValueError):
    def __init__(self, source: str, line: int, reason: str) -> None:
        self.source, self.line, self.reason = source, line, reason
        super().__init__(f"{source}, line {line}: {reason}")


class ClosedError(E5Error, RuntimeError):
    def __init__(self) -> None:
        super().__init__("this Embedder was closed: open a new one")


class ForkedError(E5Error, RuntimeError):
    def __init__(self, opened_in: int, used_in: int) -> None:
        self.opened_in, self.used_in = opened_in, used_in
        super().__init__(
            f"this Embedder was opened in process {opened_in} and used in its fork {used_in}, where its "
            "threads do not exist: open the Embedder after the fork, or start workers with 'spawn'"
        )


class UnsafeCacheError(E5Error, PermissionError):
    def __init__(self, place: Path, reason: str, remedy: str) -> None:
        self.place, self.reason, self.remedy = place, reason, remedy
        super().__init__(f"{place} {reason}, so no weights are cached there: {remedy}")


class InferenceError(E5Error, RuntimeError):
    def __init__(self, reason: str, *, batch: int, tokens: int) -> None:
        self.reason, self.batch, self.tokens = reason, batch, tokens
        super().__init__(f"onnxruntime failed on a batch of {batch} texts, {tokens} tokens long: {reason}")


class MissingExtraError(E5Error, ImportError):
    def __init__(self, extra: str, module: str) -> None:
        self.extra, self.module = extra, module
        super().__init__(f"{module} is not installed: `pip install 'e5-onnx[{extra}]'`")


class TruncationWarning(UserWarning):
    """Texts were cut to what the model takes; one warning a call counts them."""

    def __init__(self, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        super().__init__(
            f"{count} text{'s were' if count > 1 else ' was'} cut to the model's {limit} tokens: split long "
            "texts, or choose overflow='window' for documents, 'error' to be stopped, 'truncate' to hide this"
        )


class CacheWarning(UserWarning):
    """Packed weights could not be cached; the model works without."""

    def __init__(self, root: Path, reason: str) -> None:
        self.root, self.reason = root, reason
        super().__init__(f"the cache {root} cannot be used, the model takes more memory without it: {reason}")


def _restore(kind: type[E5Error], args: tuple[object, ...], values: dict[str, object]) -> E5Error:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(values)
    return error
