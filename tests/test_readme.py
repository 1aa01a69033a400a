"""README.md and the pages for users say what is so: what they show is run, on small folders with their names.

```python     is executed; a ```text block after it is what it prints
$ e5          is run
$ e5-export   is run where the source is a local folder; else its flags are read and the export left out
$ e5-perf     has its flags read
$ make, pip   name targets of the Makefile and extras of pyproject.toml
"""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tiny_models import BERT, XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_bert_tokenizer, write_tiny_tokenizer

import e5_onnx
import e5_onnx.cli
import e5_onnx.errors
import e5_onnx_export
import e5_onnx_export.cli
import e5_onnx_perf.cli
from e5_onnx import Embedder
from e5_onnx.model_folder.manifest import MANIFEST_NAME, Parity
from e5_onnx.recipes import WEB_SEARCH_TASK
from e5_onnx.tokens.tokenization import OverflowPolicy
from e5_onnx_export import ExportReport, ExportRequest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("install", "measured", "python"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
# Placeholders such as `e5-export SOURCE OUT` are read like any other command.
INLINE = re.findall(r"`([^`\n]+)`", PROSE)
COMMANDS = [line for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]

FOLDERS = ("e5-large", "e5-small-int8", "demo/e5-small")
# As published: a full stop more, or a corrected article, is another instruction.
TASKS = {
    "Given a web search query, retrieve relevant passages that answer the query",
    "Given a question, retrieve Wikipedia passages that answer the question",
    "Retrieve semantically similar text.",
    "Retrieve parallel sentences.",
    "Identify categories in user passages.",
    "Classify user passages.",
}


@pytest.fixture
def workplace(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder in which what the pages name is there."""
    for name in FOLDERS:
        shutil.copytree(tiny_folder, tmp_path / name)
    (tmp_path / "products.csv").write_text("sku,description\n1,a red lamp\n2,un vaso\n", "utf-8")
    (tmp_path / "documents.txt").write_text("The sea is deep.\nパンは小麦粉から作ります。\n", "utf-8")
    (tmp_path / "questions.jsonl").write_text('{"question": "How deep is the sea?"}\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def checkpoints(workplace: Path) -> Path:
    """The local checkpoints that the pages export."""
    kinds = {
        "my-checkpoint": (XLM_ROBERTA, write_tiny_tokenizer),
        "my-bert": (BERT, write_tiny_bert_tokenizer),
    }
    for name, (body, write_tokenizer) in kinds.items():
        # onnxruntime's attention takes heads of 8, 16, ... components.
        architecture = replace(body, hidden=32, intermediate=64)
        tokenizer = write_tokenizer(workplace / f"{name}.json")
        write_checkpoint(workplace / name, architecture, tiny_weights(architecture), tokenizer)
    return workplace


def table(first_header: str) -> list[list[str]]:
    """The rows of the table whose first header this is."""
    rows = re.findall(rf"^\| {re.escape(first_header)} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert rows, f"no page has a table that begins with {first_header!r}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in "".join(rows).splitlines()]


def check_make(words: list[str]) -> None:
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert words[1] in targets, f"the Makefile has no target {words[1]}"


def check_pip(words: list[str]) -> None:
    extras = re.fullmatch(r"\.(?:\[([\w,-]+)\])?", words[-1])
    assert words[1] == "install"
    assert extras, f"{words[-1]} is not this project"
    assert set((extras[1] or "").split(",")) - {""} <= PROJECT["optional-dependencies"].keys()


def run_e5(words: list[str]) -> None:
    assert e5_onnx.cli.main(words[1:]) == 0


def check_export(words: list[str], monkeypatch: pytest.MonkeyPatch) -> ExportRequest:
    """Reads the flags as e5-export does, and leaves out the export."""
    asked: list[ExportRequest] = []

    def export(request: ExportRequest, _progress: object) -> ExportReport:
        asked.append(request)
        return ExportReport(str(request.out), request.precision, 0, 0.0, 0.0, Parity(False, "none"))

    monkeypatch.setattr(e5_onnx_export.cli.export, "export", export)
    monkeypatch.setattr(e5_onnx_export.cli.export, "first_use", str)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert e5_onnx_export.cli.main(words[1:]) == 0
    return asked[0]


def starting_with(name: str) -> list[str]:
    found = [line.removeprefix("$ ") for line in COMMANDS if shlex.split(line)[1:2] == [name]]
    assert found, f"no page shows a command {name}"
    return list(dict.fromkeys(found))


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "console", "text"}
    assert {tuple(shlex.split(line)[:2]) for line in COMMANDS} == {
        ("$", "make"), ("$", "pip"), ("$", "e5"), ("$", "e5-export"), ("$", "e5-perf"),
    }  # fmt: skip


@pytest.mark.parametrize("position", [i for i, (kind, _) in enumerate(BLOCKS) if kind == "python"])
def test_python_runs_and_prints_what_it_says(
    position: int, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all((workplace / name / MANIFEST_NAME).is_file() for name in FOLDERS)
    exec(compile(BLOCKS[position][1], f"block {position}", "exec"), {})  # noqa: S102
    printed = capsys.readouterr().out
    kind, following = BLOCKS[position + 1] if position + 1 < len(BLOCKS) else ("", "")
    assert printed == following if kind == "text" else printed


# A server does not end by itself; tests/serve starts real ones.
@pytest.mark.parametrize("line", [line for line in starting_with("e5") if not line.startswith("e5 serve")])
def test_e5_commands_run(line: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    run_e5(words)
    printed = capsys.readouterr().out
    if "--output" in words:
        assert any(workplace.glob(f"{words[words.index('--output') + 1]}*"))
    else:
        assert printed


@pytest.mark.parametrize("line", [line for line in starting_with("e5") if line.startswith("e5 serve")])
def test_servers_are_understood(line: str) -> None:
    assert e5_onnx.cli._parser().parse_args(shlex.split(line)[1:]).model.name in FOLDERS


def test_the_embedded_file_holds_a_row_a_line(workplace: Path) -> None:
    run_e5(shlex.split(starting_with("e5")[0]))
    assert np.load(workplace / "documents.npy").shape == (2, 32)


@pytest.mark.parametrize("line", starting_with("e5-export"))
def test_export_commands_are_understood(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)
    request = check_export(words, monkeypatch)
    named = [word for word in words[1:3] if not word.startswith("--")]
    assert [request.source, str(request.out)][: len(named)] == named


@pytest.mark.parametrize(
    "line", [line for line in starting_with("e5-export") if " ./my-" in line and "standard" not in line]
)
def test_exports_of_local_folders_run(line: str, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert e5_onnx_export.cli.main([*words[1:], "--reference", "numpy"]) == 0
    with Embedder(checkpoints / words[2]) as model:
        assert model.embed_documents("x").shape == (model.dimension,)


@pytest.mark.parametrize("line", starting_with("e5-perf"))
def test_perf_commands_are_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    check_flags(words, help_of(e5_onnx_perf.cli.main, words[1:2], capsys))


@pytest.mark.parametrize("line", starting_with("make"))
def test_make_targets_are_there(line: str) -> None:
    check_make(shlex.split(line))


@pytest.mark.parametrize("line", starting_with("pip"))
def test_pip_extras_are_there(line: str) -> None:
    check_pip(shlex.split(line))


def test_the_table_of_extras_is_that_of_pyproject() -> None:
    assert [row[0].strip("`") for row in table("extra")] == ["none", *PROJECT["optional-dependencies"]]


def help_of(main: Callable[[list[str]], int], words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", ["embed", "bulk", "search", "serve", "info", "verify", "cache"])
def test_e5_help_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"e5 {command}" in help_of(e5_onnx.cli.main, [command], capsys)
    assert command in help_of(e5_onnx.cli.main, [], capsys)


def test_inline_commands_show_real_names_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    seen = set()
    for code in INLINE:
        words = code.split()
        seen.add(words[0])
        if words[0] == "make":
            check_make(words)
        elif words[0] == "e5":
            check_flags(words, help_of(e5_onnx.cli.main, words[1:2], capsys))
        elif words[0] == "e5-export":
            check_flags(words, help_of(e5_onnx_export.cli.main, [], capsys))
        elif words[0] == "e5-perf":
            check_flags(words, help_of(e5_onnx_perf.cli.main, words[1:2], capsys))
        elif words[0].startswith("--"):
            check_flags(words, of_export_and_perf(capsys))
    assert {"make", "e5", "e5-export", "e5-perf"} <= seen


def of_export_and_perf(capsys: pytest.CaptureFixture[str]) -> str:
    perf = [help_of(e5_onnx_perf.cli.main, [command], capsys) for command in ("accuracy", "speed")]
    return "".join([help_of(e5_onnx_export.cli.main, [], capsys), *perf])


def check_flags(words: list[str], text: str) -> None:
    known = {"--help", *re.findall(r"--[a-z][a-z0-9-]*", text)}
    for word in words:
        assert word in known or not word.startswith("--"), f"{' '.join(words)}: no flag {word}"


def test_inline_names_are_real() -> None:
    public = {*vars(e5_onnx), *dir(Embedder), *get_args(OverflowPolicy), "e5_onnx", "last_hidden_state"}
    shown = [code for code in INLINE if re.fullmatch(r"[A-Za-z]+_[a-z_]+|[A-Z]\w+(?:Error|Warning)", code)]
    assert {"embed_queries", "embed_documents", "TextTooLongError"} <= set(shown)
    assert set(shown) - public - set(vars(e5_onnx.errors)) == set()


def test_the_table_of_roles_gives_published_instructions(workplace: Path) -> None:
    rows = table("to do")
    shown = {row[2].split("`")[1] for row in rows if row[2].startswith("`")}
    assert shown == TASKS
    assert {row[2] for row in rows if "(the default)" in row[2]} == {f"`{WEB_SEARCH_TASK}` (the default)"}
    with Embedder(workplace / "e5-large", overflow="truncate") as model:
        for _, call, task in rows:
            options = {"task": task.strip("`")} if task.endswith("`") else {}
            assert getattr(model, call.strip("`"))("x", **options).shape == (model.dimension,)


def test_the_table_of_policies_is_whole() -> None:
    assert {row[0].strip("`") for row in table("`overflow`")} == set(get_args(OverflowPolicy))


def test_python_versions_are_the_declared_ones() -> None:
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    (row,) = [row for row in table("platform") if row[0] == "Python"]
    assert re.findall(r"3\.\d+", " ".join(row[1:3])) == declared


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))
    inner = [link for link in links if not link.startswith(("https://", "#"))]
    assert links
    assert not [link for link in inner if not (page.parent / link.partition("#")[0]).exists()]


def test_the_readme_is_short() -> None:
    assert len(PAGES[0].read_text("utf-8").splitlines()) <= 140


def test_nothing_is_left_to_do() -> None:
    assert "TODO" not in TEXT


@pytest.mark.parametrize(
    "line",
    [
        "e5 search e5-large documents.txt 'How deep is the sea?' --best 3",
        "e5 embed e5-large documents.txt --role passage --output documents.npy",
        "e5 look e5-large",
    ],
)
def test_a_wrong_e5_command_would_be_found(line: str, workplace: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_e5(shlex.split(line))


def test_other_wrong_commands_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="2"):
        check_export(["e5-export", "demo", "out", "--precise", "int8"], monkeypatch)
    with pytest.raises(AssertionError, match="no target demonstrate"):
        check_make(["make", "demonstrate"])
    with pytest.raises(AssertionError):
        check_pip(["pip", "install", ".[everything]"])
    with pytest.raises(AssertionError, match="no flag --rôle"):
        check_flags(["e5", "embed", "--rôle"], "--role")
