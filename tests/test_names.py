"""One word, one thing: no name of a class or of a function stands for two things that meet in one program."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from our_source import PACKAGES, ROOT, modules, parsed

# Each imports the one before, so that their names meet.
TOGETHER: Final = ("e5_onnx", "e5_onnx_export", "e5_onnx_perf")

# Names of what modules have alike: commands, readers of file formats, faults, and other engines.
ALIKE: Final = {
    "main", "run", "add_parser", "add_arguments", "open_rows", "survey", "run_fault", "prepare", "load",
}  # fmt: skip


def classes(module: ast.Module) -> Iterator[str]:
    """Classes, and names of types: those that a module gives a value and writes as it writes a class."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                target.id for target in targets if isinstance(target, ast.Name) and is_type(target.id)
            )


def is_type(name: str) -> bool:
    return not name.startswith("_") and name[:1].isupper() and not name.isupper()


def functions(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name


@pytest.mark.parametrize("names", [classes, functions])
def test_no_name_stands_for_two_things(names: Callable[[ast.Module], Iterator[str]]) -> None:
    found = defaultdict(set)
    for package in TOGETHER:
        for file in modules(package):
            for name in names(parsed(file)):
                found[name].add(str(file.relative_to(ROOT)))
    assert {
        name: sorted(files) for name, files in found.items() if len(files) > 1 and name not in ALIKE
    } == {}


def test_what_is_used_alike_is_there_several_times() -> None:
    names = [name for package in PACKAGES for file in modules(package) for name in functions(parsed(file))]
    assert all(names.count(name) > 1 for name in ALIKE)


def test_no_public_class_of_any_package_has_the_name_of_another() -> None:
    found = [
        node.name
        for package in PACKAGES
        for file in modules(package)
        for node in parsed(file).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(name for name in set(found) if found.count(name) > 1) == []


def test_no_module_of_perf_has_the_name_of_another() -> None:
    # Each command of e5-perf has a folder of its own.
    names = [file.stem for file in modules("e5_onnx_perf") if file.stem not in ("__init__", "command")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
