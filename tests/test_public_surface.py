"""What the packages offer: a name that comes or goes is seen here, and an error that the drawn tree lacks."""

from __future__ import annotations

import builtins
import importlib
import re
import traceback
from pathlib import Path
from types import ModuleType

import pytest

import e5_onnx.bulk.errors
import e5_onnx.errors
import e5_onnx.integrations.errors
import e5_onnx.serve.errors
import e5_onnx_export.errors
import e5_onnx_perf.errors
from e5_onnx.bulk.errors import BulkError
from e5_onnx.errors import E5Error
from e5_onnx.integrations.errors import IntegrationError
from e5_onnx.serve.errors import RequestError
from e5_onnx_export.errors import ExportError
from e5_onnx_perf.errors import PerfError

PUBLIC = {
    "e5_onnx": [
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
    ],
    "e5_onnx.bulk": ["BulkError", "BulkProgress", "Columns", "Job", "Summary", "run_bulk"],
    "e5_onnx_export": [
        "ExportError",
        "ExportReport",
        "ExportRequest",
        "ParityError",
        "RecipeRequest",
        "export",
    ],
    "e5_onnx_perf": [],
}

ROOT = Path(__file__).parents[1]

# ├── Name      (Builtin)   what it means
ROW = re.compile(
    r"^(?P<rule>[│├└─ ]*)(?P<name>(?:\w+\.)*\w+Error)(?: +\((?P<builtins>[\w, ]+)\))?(?:  +\S.*)?$"
)


@pytest.mark.parametrize("package", PUBLIC)
def test_the_public_names(package: str) -> None:
    module = importlib.import_module(package)
    assert getattr(module, "__all__", []) == PUBLIC[package] == sorted(PUBLIC[package])
    visible = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and _is_ours(value, package)
    }
    assert visible <= set(PUBLIC[package])
    assert all(hasattr(module, name) for name in PUBLIC[package])


def _is_ours(value: object, package: str) -> bool:
    return getattr(value, "__module__", "").split(".")[0] == package


ERRORS = {
    "runtime": (e5_onnx.errors, E5Error),
    "serve": (e5_onnx.serve.errors, RequestError),
    "bulk": (e5_onnx.bulk.errors, BulkError),
    "integrations": (e5_onnx.integrations.errors, IntegrationError),
    "export": (e5_onnx_export.errors, ExportError),
    "perf": (e5_onnx_perf.errors, PerfError),
}


@pytest.mark.parametrize(("module", "root"), ERRORS.values(), ids=ERRORS)
def test_the_drawn_tree_of_errors_is_the_real_one(module: ModuleType, root: type[E5Error]) -> None:
    assert sorted(_drawn(module)) == sorted(_real(module, root))


def test_errors_show_the_name_that_they_are_imported_by() -> None:
    for name in e5_onnx.errors.__all__:
        kind = getattr(e5_onnx, name)
        assert kind is getattr(e5_onnx.errors, name)
        assert traceback.format_exception_only(kind.__new__(kind))[0].startswith(f"e5_onnx.{name}")


PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_error_that_a_page_names_is_public() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    named = set(re.findall(r"\b[A-Z]\w+(?:Error|Warning)\b", text)) - set(dir(builtins))
    assert {"E5Error", "TextTooLongError", "TruncationWarning"} <= named <= set(PUBLIC["e5_onnx"])


def _drawn(module: ModuleType) -> list[tuple[str, str, list[str]]]:
    """Name, parent and builtins of each class in the module's docstring."""
    rows = []
    above: list[str] = []
    for line in (module.__doc__ or "").splitlines():
        found = ROW.match(line)
        if not found:
            continue
        depth = len(found["rule"]) // 4
        name = found["name"].rpartition(".")[2]
        del above[depth:]
        if above:
            rows.append((name, above[-1], re.findall(r"\w+", found["builtins"] or "")))
        above.append(name)
    return rows


def _is_defined_by(module: ModuleType, value: object) -> bool:
    # The runtime's errors show themselves as names of the package that users import them from.
    home = "e5_onnx" if module is e5_onnx.errors else module.__name__
    return isinstance(value, type) and issubclass(value, Exception) and value.__module__ == home


def _real(module: ModuleType, root: type[E5Error]) -> list[tuple[str, str, list[str]]]:
    """The same of the classes themselves."""
    classes = [value for value in vars(module).values() if _is_defined_by(module, value)]
    rows = []
    for kind in classes:
        if not issubclass(kind, E5Error) or kind is E5Error:
            continue
        parents = [base for base in kind.__bases__ if issubclass(base, E5Error)]
        assert len(parents) == 1, kind
        bases: tuple[type, ...] = kind.__bases__
        standard = [base.__name__ for base in bases if vars(builtins).get(base.__name__) is base]
        rows.append((kind.__name__, parents[0].__name__, standard))
    assert root.__name__ in {"E5Error", *(name for name, _, _ in rows)}
    return rows


@pytest.mark.parametrize("module", [module for module, _ in ERRORS.values()], ids=ERRORS)
def test_errors_are_caught_as_what_they_are(module: ModuleType) -> None:
    assert all(
        issubclass(kind, E5Error)
        for kind in vars(module).values()
        if _is_defined_by(module, kind) and not issubclass(kind, Warning)
    )
