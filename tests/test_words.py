"""No page, help text, error or docstring uses a word that docs/glossary.md replaces; proselint reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from our_source import ROOT, modules
from proselint.config import Config
from proselint.registry import CheckRegistry
from proselint.registry.checks import Check, CheckFlags, Padding, types
from proselint.registry.checks.engine import Fancy, RegexOptions
from proselint.tools import LintFile

WORDS = {
    "anew": "again",
    "company": "batch composition",
    "dearest": "most sensitive, most expensive",
    "errors? made good": "error-compensated rounding",
    "foreign": "third-party",
    "for nothing": "at no cost",
    "gone on with": "resumed",
    "lets? go of": "release",
    "made good": "compensated",
    "makes? good": "compensate",
    "nobody else's": "private",
    "packed graphs?": "unpadded graph",
    "spoilt": "corrupt",
    "thin (?:one )?(?:on|upon)": "wraps",
    "upon": "on",
    "without a word": "silently",
    "word tables?": "token embedding matrix",
}
# Documentation of an attribute or a whole docstring; it begins with its noun.
OPENING = (
    r'(?m)^[ \t]+(?:"""|[a-z_]+: |(?:Returns|Yields):\n[ \t]+)(?:Of|That|Those|What|Which|Whose|Where)\b'
)

QUOTED_TOO = CheckFlags(allow_quotes=True)
CHECKS = (
    *(
        Check(
            types.Existence((word.replace(" ", r"\s+"),), Padding.WORDS_IN_TEXT),
            path="words.glossary",
            message=f"'{{}}': write '{plain}'",
            flags=QUOTED_TOO,
        )
        for word, plain in WORDS.items()
    ),
    Check(
        types.ExistenceSimple(OPENING),
        engine=Fancy(RegexOptions(case_insensitive=False)),
        path="words.opening",
        message="begin with a noun",
        flags=QUOTED_TOO,
    ),
)
CONFIG = Config(max_errors=100, checks={"words": True})

# The glossary names the words.
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "glossary.md"})
FILES = [*PAGES, *modules("e5_onnx"), *modules("e5_onnx_export"), *modules("e5_onnx_perf")]


@pytest.fixture(autouse=True)
def own_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry is one for the process."""
    monkeypatch.setattr(CheckRegistry, "_checks", list(CHECKS))


def found(text: str, name: str = "text") -> list[str]:
    results = LintFile(name, text).lint(CONFIG)
    # proselint puts a line before the text.
    return [f"{name}:{result.pos[0] - 1}: {result.check_result.message}" for result in results]


def prose(file: Path) -> str:
    """A file without its imports, which name modules; of the changelog, what is not released."""
    text = file.read_text("utf-8")
    if file.name == "CHANGELOG.md":
        return text.partition("\n## [0.1.0]")[0]
    return re.sub(r"(?m)^from .*$", "", text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_words_are_those_of_the_glossary(file: Path) -> None:
    text = prose(file)
    assert not (found(text, str(file.relative_to(ROOT))) if text.strip() else [])


@pytest.mark.parametrize(
    "text",
    [
        "It is made anew.",
        "Upon this, all is built.",
        "Weights with their errors made\n    good.",
        'It says "lets go of the model".',
        "x\n        threads: Of the session.",
        'x\n    """That wait."""',
        "x\n    Returns:\n        What is left.",
    ],
)
def test_a_word_that_is_not_used_is_found(text: str) -> None:
    assert found(text)


def test_plain_words_are_not_found() -> None:
    assert not found("It is made again.\n    threads: Number of threads, of which one waits.\n")
