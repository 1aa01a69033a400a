"""What the packages offer: a name that comes or goes is seen here, and an error that the drawn tree lacks."""

from __future__ import annotations

import builtins
import importlib
import re
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
        "E5Error",
        "Embedder",
        "Encoded",
        "FolderError",
        "InputError",
        "Manifest",
        "TruncationWarning",
        "VerifyReport",
        "__version__",
        "verify_folder",
    ],
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


def _real(module: ModuleType, root: type[E5Error]) -> list[tuple[str, str, list[str]]]:
    """The same of the classes themselves."""
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    rows = []
    for kind in classes:
        if not issubclass(kind, E5Error) or kind is E5Error:
            continue
        parents = [base for base in kind.__bases__ if issubclass(base, E5Error)]
        assert len(parents) == 1, kind
        standard = [
            base.__name__ for base in kind.__bases__ if getattr(builtins, base.__name__, None) is base
        ]
        rows.append((kind.__name__, parents[0].__name__, standard))
    assert root.__name__ in {"E5Error", *(name for name, _, _ in rows)}
    return rows


@pytest.mark.parametrize("module", [module for module, _ in ERRORS.values()], ids=ERRORS)
def test_errors_are_caught_as_what_they_are(module: ModuleType) -> None:
    assert all(
        issubclass(kind, E5Error)
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__ and issubclass(kind, Exception)
        if not issubclass(kind, Warning)
    )
