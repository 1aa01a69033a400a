"""An export that names no OUT, and what is printed after one: it is run as it stands."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from runtime_folders import edit
from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_tokenizer

from e5_onnx import Embedder
from e5_onnx.errors import FolderNotFoundError
from e5_onnx_export.cli import main
from e5_onnx_export.cli.export import export_parser, request_of
from e5_onnx_export.cli.first_use import first_use
from e5_onnx_export.errors import ExportRequestError

SHAPE = replace(XLM_ROBERTA, hidden=32, heads=4, intermediate=64, positions=130)
EXPORT = ["--recipe", "e5-instruct", "--reference", "numpy"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer.json")
    return write_checkpoint(tmp_path / "tiny", SHAPE, tiny_weights(SHAPE), tokenizer)


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["intfloat/multilingual-e5-small"], "multilingual-e5-small"),
        (["intfloat/multilingual-e5-small", "--precision", "int8"], "multilingual-e5-small-int8"),
        (["bert-base-uncased", "--precision", "int4"], "bert-base-uncased-int4"),
        (["BAAI/bge-m3", "--graph", "standard"], "bge-m3-standard"),
        (["demo", "--precision", "int8"], "multilingual-e5-small-int8"),
        (["intfloat/multilingual-e5-small", "elsewhere"], "elsewhere"),
    ],
)
def test_the_folder_has_the_models_name(words: list[str], out: str) -> None:
    assert request_of(export_parser().parse_args(words)).out == Path(out)


@pytest.mark.parametrize("source", [".", "./my-checkpoint", "a/b/c"])
def test_a_folder_gives_no_name(source: str) -> None:
    with pytest.raises(ExportRequestError, match="OUT is missing: name the folder to make of"):
        request_of(export_parser().parse_args([source]))


def test_the_error_of_a_missing_folder_is_a_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FolderNotFoundError) as caught:
        Embedder("intfloat/multilingual-e5-small")
    _, command, then = str(caught.value).split("`")
    parsed = export_parser().parse_args(command.split()[1:])
    assert command.split()[0] == "e5-export"
    assert then == f" and open {request_of(parsed).out}"


def test_what_is_printed_runs(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(checkpoint), "my model", *EXPORT]) == 0
    summary, python, command = capsys.readouterr().out.split("\n\n")
    assert summary.startswith("my model: fp32")
    assert len(python.splitlines()) == 3
    exec(python, {})  # noqa: S102
    cosine = float(capsys.readouterr().out)
    assert -1 <= cosine <= 1
    # The command of this Python, wherever it is installed.
    command = f'e5() {{ "{sys.executable}" -m e5_onnx.cli "$@"; }}\n{command}'
    found = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"{cosine:.4f}"[:5] in found.stdout
    assert found.stdout.rstrip().endswith("The sea is 3.7 km deep.")


def test_json_and_folders_for_other_tools_bring_no_lines(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), str(tmp_path / "out"), *EXPORT, "--json"]) == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize(
    ("task", "query", "option"),
    [(None, 'embed_queries("How deep is the sea?", task="...")', " --task '...'"), ("T", 'sea?")', "")],
)
def test_a_recipe_without_a_default_task_asks_for_one(
    task: str | None, query: str, option: str, tiny_folder_copy: Path
) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest["recipe"].update(default_task=task))
    printed = first_use(tiny_folder_copy)
    assert query in printed
    assert printed.endswith(f"- 'How deep is the sea?'{option}\n")
