"""The programs of docs/integrations.md find what they look for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.reference, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"
SECTIONS = re.findall(r"^## ([^\n,]+)([^#]*)", PAGE.read_text("utf-8"), re.MULTILINE)
PROGRAMS = [
    (name, program)
    for name, section in SECTIONS
    for program in re.findall(r"```python\n(.*?)```", section, re.DOTALL)
]
PRINTED = {
    "LangChain": ["The notice period is three months.", "True"],
    "LlamaIndex": ["The notice period is three months."],
    "Haystack": [
        "The notice period is three months.",
        "dict_keys(['model', 'e5_onnx_fingerprint'])",
    ],
    "Chroma": ["The notice period is three months."],
    "sentence-transformers": [r"\[\[0?\.\d+\]\]"],
}


def test_all_are_here() -> None:
    assert [name for name, _ in PROGRAMS] == [name for name, lines in PRINTED.items() for _ in lines]


@pytest.mark.parametrize("number", range(len(PROGRAMS)), ids=[name for name, _ in PROGRAMS])
def test_a_program(
    number: int,
    tiny_folder: Path,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, program = PROGRAMS[number]
    if "langchain_classic" in program:
        pytest.importorskip("langchain_classic", reason="langchain-classic, of [clients], is missing")
    monkeypatch.chdir(tmp_path)
    exec(compile(program.replace("e5-large", str(tiny_folder)), name, "exec"), {})  # noqa: S102 - our page
    expected = [line for lines in PRINTED.values() for line in lines][number]
    printed = capsys.readouterr().out.removesuffix("\n")
    assert printed == expected or (name == "sentence-transformers" and re.fullmatch(expected, printed))
