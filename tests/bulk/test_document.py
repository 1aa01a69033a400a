"""docs/bulk.md shows what runs."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from bulk_inputs import rows, write

from e5_onnx.cli import _parser, main

DOCUMENT = (Path(__file__).parents[2] / "docs" / "bulk.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_folder, tmp_path / "e5-large")
    (tmp_path / "corpus").mkdir()
    records = [
        {"url": row["doc"], "body": row["text"], "title": "t", "date": row["year"]} for row in rows(20)
    ]
    path = write("jsonl", tmp_path, records)
    pq.write_table(_table(path), tmp_path / "corpus" / "a.parquet")
    monkeypatch.chdir(tmp_path)


def _table(path: Path) -> object:
    import pyarrow.json as pj

    return pj.read_json(path)


def test_the_first_command_runs() -> None:
    assert main(shlex.split(COMMANDS[0])[1:]) == 0
    assert pq.read_table("vectors").column_names == ["id", "title", "date", "embedding"]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    assert _parser().parse_args(shlex.split(command)[1:]).output == "vectors"


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [body for kind, body in BLOCKS if kind == "python" and "e5_onnx.bulk" in body]
    exec(compile(block, "docs/bulk.md", "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.startswith("Summary(rows=20, written=20, rejected=0")
    assert pq.read_table("vectors").num_rows == 20


def test_options_are_real(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["bulk", "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert set(re.findall(r"`(--[a-z][a-z-]*)", DOCUMENT)) <= known
