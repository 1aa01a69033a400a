"""The demonstration's texts and its judgement; `make demo` runs it with real weights."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

DEMO = Path(__file__).parents[1] / "docs" / "demo" / "run_demo.py"


@pytest.fixture(scope="module")
def demo() -> Iterator[ModuleType]:
    found = importlib.util.spec_from_file_location("run_demo", DEMO)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    # dataclasses look their module up.
    sys.modules["run_demo"] = module
    found.loader.exec_module(module)
    yield module
    del sys.modules["run_demo"]


@pytest.fixture
def commands(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the demonstration would run, all of which succeeds."""
    called: list[tuple[str, ...]] = []

    def run(*command: str) -> bool:
        called.append(command)
        return True

    monkeypatch.setattr(demo, "run", run)
    return called


def test_the_corpus_is_large_and_of_many_languages(demo: ModuleType) -> None:
    documents = [demo.Document(**row) for row in demo.read_rows("corpus.jsonl")]
    assert len({document.id for document in documents}) == len(documents) >= 30
    assert len({document.text for document in documents}) == len(documents)
    assert len({document.language for document in documents}) >= 14


def test_every_question_is_answered_in_another_language(demo: ModuleType) -> None:
    languages = {row["id"]: row["language"] for row in demo.read_rows("corpus.jsonl")}
    questions = [demo.Question(**row) for row in demo.read_rows("questions.jsonl")]
    assert len(questions) >= 8
    assert all(languages[question.answer] != question.language for question in questions)
    assert sum(not question.text.isascii() for question in questions) >= 4


@pytest.mark.parametrize(
    ("scores", "found", "lead"), [([0.9, 0.8, 0.7], "a", 0.1), ([0.7, 0.8, 0.75], "b", -0.1)]
)
def test_the_lead_is_the_answers(demo: ModuleType, scores: list[float], found: str, lead: float) -> None:
    documents = [demo.Document(name, "de", name) for name in "abc"]
    finding = demo.rank(demo.Question("en", "?", "a"), documents, np.array(scores, np.float32))
    assert finding.found.id == found
    assert finding.lead == pytest.approx(lead, abs=1e-6)
    assert finding.is_right == (lead > 0)
    assert (f"{'right' if lead > 0 else 'WRONG'}  {max(scores):.3f}  {lead:+.3f}  en  ?") in demo.table(
        [finding]
    )


# The real model's tokens are longer, so its texts fit.
@pytest.mark.filterwarnings("ignore::e5_onnx.TruncationWarning")
def test_random_weights_fail(
    demo: ModuleType, commands: list[tuple[str, ...]], tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--folder", str(tiny_folder)]) == 1
    assert commands == [("e5", "verify", str(tiny_folder))]
    assert "WRONG" in capsys.readouterr().out


def test_it_succeeds_if_every_answer_is_found(
    demo: ModuleType, commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = demo.Document("a", "de", "Text")
    monkeypatch.setattr(demo, "ask", lambda _: [demo.Finding(demo.Question("en", "?", "a"), found, 0.9, 0.1)])
    folder = str(tmp_path / "new")
    assert demo.main(["--folder", folder]) == 0
    assert commands == [("e5-export", "demo", folder, "--precision", "int8"), ("e5", "verify", folder)]


def test_a_folder_of_another_precision_is_left_alone(
    demo: ModuleType, commands: list[tuple[str, ...]], tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--folder", str(tiny_folder), "--precision", "int8"]) == 1
    assert commands == []
    assert "is fp32: remove it" in capsys.readouterr().err


def test_a_step_that_fails_ends_it(
    demo: ModuleType, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "run", lambda *_: False)
    assert demo.main(["--folder", str(tiny_folder)]) == 1


def test_commands_are_run_and_timed(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, code in (("works", 0), ("breaks", 3)):
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\necho {name} $1\nexit {code}\n")
        script.chmod(0o755)
    monkeypatch.setattr(demo.sysconfig, "get_path", lambda _: str(tmp_path))
    assert demo.run("works", "x")
    assert not demo.run("breaks", "y")
    printed = capfd.readouterr().out
    assert "works x\n" in printed
    assert "breaks y\n" in printed


@pytest.mark.parametrize(("letter", "shown"), [("a", 84), ("水", 42)])
def test_long_texts_are_cut_by_columns(demo: ModuleType, letter: str, shown: int) -> None:
    assert demo.shorten(letter * shown) == letter * shown
    assert demo.shorten(letter * (shown + 1)) == letter * shown + "…"
