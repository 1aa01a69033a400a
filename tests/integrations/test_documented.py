"""The programs of docs/integrations.md find what they look for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"
PROGRAMS = re.findall(
    r"^## ([^\n,]+).*?\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
)


def test_all_are_here() -> None:
    assert [name for name, _ in PROGRAMS] == [
        "LangChain", "LlamaIndex", "Haystack", "Chroma", "sentence-transformers",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "program"), PROGRAMS, ids=[name for name, _ in PROGRAMS])
def test_a_program(name: str, program: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(program.replace("e5-large", str(tiny_folder)), name, "exec"), {})  # noqa: S102 - our page
    printed = capsys.readouterr().out
    if name == "sentence-transformers":
        assert re.fullmatch(r"\[\[0?\.\d+\]\]\n", printed)
    else:
        assert printed == "The notice period is three months.\n"
