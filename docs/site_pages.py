"""A hook of mkdocs: pages and files that lie outside of docs/, and links between all of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = "docs/"
OTHERS: Final = "files/"
# Files of the repository, and the pages that they become.
PAGES: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "licence.txt",
    "SECURITY.md": "security.md",
    "perf/README.md": "measuring.md",
    "perf/SCALE.md": "scale.md",
}
_SOURCES: Final = {place: path for path, place in PAGES.items()}
_LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\(([^):#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of `PAGES`, and the files that any page links to, such as measured results."""
    places = dict(PAGES)
    for path in [*PAGES, *(f"{DOCS}{page.src_uri}" for page in files.documentation_pages())]:
        places |= {found: place for found in _linked(path) if (place := _place(found)).startswith(OTHERS)}
    for path, place in places.items():
        files.append(File.generated(config, place, content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, **_others: object) -> str:
    """Points each link to where its file is on the site. A folder has no page: its link is text."""
    here = page.file.src_uri
    folder = posixpath.dirname(_source(here))

    def replace(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[2]))
        if (ROOT / target).is_dir():
            return found[1]
        place = _place(target) or target  # what is nowhere stays a link: mkdocs warns of it
        return f"[{found[1]}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{found[3] or ''})"

    return _LINK.sub(replace, markdown)


def _linked(path: str) -> Iterator[str]:
    if path.endswith(".md"):
        for found in _LINK.finditer((ROOT / path).read_text("utf-8")):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2]))


def _source(place: str) -> str:
    """The file of the repository that is at a place of the site."""
    if place.startswith(OTHERS):
        return place.removeprefix(OTHERS)
    return _SOURCES.get(place, DOCS + place)


def _place(path: str) -> str:
    """The place on the site of a file of the repository; empty if there is none."""
    if path in PAGES:
        return PAGES[path]
    if not (ROOT / path).is_file():
        return ""
    return path.removeprefix(DOCS) if path.startswith(DOCS) else OTHERS + path
