"""What each package looks like from above: few rooms, few arrows between them, no circle of imports."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from our_source import PACKAGES, modules, parsed

# A room is a module or a folder in the root of a package; an arrow, that one imports from another.
MOST_ROOMS = {"e5_onnx": 22, "e5_onnx_export": 22, "e5_onnx_perf": 21}
MOST_ARROWS = 100


def name_of(package: str, file: Path) -> str:
    parts = (package, *file.relative_to(PACKAGES[package]).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def arrows(package: str) -> dict[str, set[str]]:
    """By module: what it imports of its own package, in functions and for type checkers too."""
    names = {name_of(package, file): file for file in modules(package)}
    found: dict[str, set[str]] = {}
    for name, file in names.items():
        wanted = set()
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= {one if one in names else str(node.module) for one in inner}
        found[name] = (wanted & names.keys()) - {name}
    return found


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def between_rooms(package: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, wanted in arrows(package).items():
        found.setdefault(room(name), set()).update({room(one) for one in wanted} - {room(name)})
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    TopologicalSorter(arrows(package)).prepare()  # names the circle


@pytest.mark.parametrize("package", PACKAGES)
def test_no_rooms_import_each_other_in_a_circle(package: str) -> None:
    TopologicalSorter(between_rooms(package)).prepare()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_root_is_seen_at_a_glance(package: str) -> None:
    rooms = between_rooms(package)
    assert len(rooms) <= MOST_ROOMS[package]
    assert sum(map(len, rooms.values())) <= MOST_ARROWS
