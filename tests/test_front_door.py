"""Pages link to what is there, CONTRIBUTING.md and docs/architecture.md name it, the map has every room."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from our_source import PACKAGES, ROOT

import e5_onnx
import e5_onnx.errors

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "perf").glob("*.md")])
PICTURE = ROOT / "docs" / "pictures" / "architecture.py"
MADE = {"build/docs"}  # by a command that the page names
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
A_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)*/?")


def links(page: Path) -> list[str]:
    """The relative links of a page."""
    return [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]


def named_paths(page: Path) -> list[str]:
    """What stands in backticks and has a slash or an ending that files of this repository have."""
    words = [word for word in CODE.findall(page.read_text("utf-8")) if A_PATH.fullmatch(word)]
    return [word for word in words if "/" in word or word.endswith((".py", ".md", ".toml", ".txt"))]


@pytest.mark.parametrize("page", [CONTRIBUTING, ARCHITECTURE], ids=lambda page: page.name)
def test_every_path_is_there(page: Path) -> None:
    paths = named_paths(page)
    assert len(paths) > 10
    assert [path for path in paths if path not in MADE and not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_is_there(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link).exists()] == []


def test_what_the_readme_links_to_is_in_the_source_distribution() -> None:
    sdist = pytest.importorskip("hatchling.builders.sdist", reason="is not installed: constraints/build.txt")
    packed = {Path(file.path) for file in sdist.SdistBuilder(str(ROOT)).recurse_included_files()}
    packed |= {folder for file in packed for folder in file.parents}
    assert [link for link in links(ROOT / "README.md") if ROOT / link not in packed] == []


def test_the_tables_that_a_walk_names_are_in_the_file_that_it_names() -> None:
    steps = re.findall(r"^\d\. (`[^`]+\.py`: .*)$", CONTRIBUTING.read_text("utf-8"), re.MULTILINE)
    found = [
        (path, table)
        for path, *words in map(CODE.findall, steps)
        for table in words
        if re.fullmatch(r"[A-Z]{4,}(_[A-Z]+)*|[A-Z]\w+Name", table)
    ]
    assert len(found) >= 8
    for path, table in found:
        assert re.search(rf"^{table}\b", (ROOT / path).read_text("utf-8"), re.MULTILINE), (path, table)


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][\w-]+)", " ".join(CODE.findall(CONTRIBUTING.read_text("utf-8")))))
    named |= set(re.findall(r"^\$ make ([\w-]+)", CONTRIBUTING.read_text("utf-8"), re.MULTILINE))
    assert {"test", "check", "format"} <= named <= targets


@pytest.mark.parametrize("package", ["e5_onnx", "e5_onnx_export"])
def test_the_map_has_every_room(package: str) -> None:
    root = PACKAGES[package]
    rooms = {file.parent.relative_to(ROOT).as_posix() for file in root.glob("*/__init__.py")}
    page = ARCHITECTURE.read_text("utf-8")
    assert rooms == set(
        re.findall(rf"^\| `({root.relative_to(ROOT).as_posix()}/\w+)` \|", page, re.MULTILINE)
    )


def test_the_picture_is_what_its_program_draws_of_rooms_that_are_there() -> None:
    drawn = runpy.run_path(str(PICTURE))
    assert PICTURE.with_suffix(".svg").read_text("utf-8") == drawn["picture"]()
    tops = [top for _, top, _ in drawn["BANDS"]]
    packages = ("e5_onnx_perf", "e5_onnx_export", "e5_onnx")
    rooms = [box for box in drawn["BOXES"] if box.kind == "room"]
    assert len(rooms) > 20
    for box in rooms:
        package = packages[sum(box.top > top for top in tops) - 1]
        for word in box.word.split(", "):
            assert (PACKAGES[package] / word).is_dir(), (package, word)


def test_the_api_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    shown = set(re.findall(r"^::: e5_onnx\.([A-Z]\w+|verify_folder)$", page, re.MULTILINE))
    assert shown | set(e5_onnx.errors.__all__) == set(e5_onnx.__all__) - {"__version__"}


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    hook = (ROOT / "docs" / "site_pages.py").read_text("utf-8")
    outside = re.findall(r'^    "\S+\.md": "(\S+\.md)",$', hook, re.MULTILINE)
    assert len(outside) > 5
    pages = [*outside, *(file.name for file in (ROOT / "docs").glob("*.md"))]
    assert sorted(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)) == sorted(pages)


def test_every_version_has_a_date_and_the_newest_is_that_of_the_package() -> None:
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    versions = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", head) for head in heads[1:]]
    assert heads[0] == "[Unreleased]"
    assert all(versions), heads
    newest = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert versions[0] is not None
    assert versions[0][1] == newest
