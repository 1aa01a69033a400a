"""What commands print and explain: in any encoding, and every option in a whole phrase."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e5_onnx.cli import _parser, main
from e5_onnx.cli.printing import print_json

TEXTS = ["パンは小麦粉", "héllo", "plain", "😀 smile"]
ENCODINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
    "ascii": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
}


def e5(encoding: str, *words: str, stdin: bytes = b"") -> bytes:
    """What a command prints in a locale of this encoding."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))
    }
    command = [sys.executable, "-m", "e5_onnx.cli", *words]
    done = subprocess.run(
        command, input=stdin, capture_output=True, check=False, env=kept | ENCODINGS[encoding]
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    """A model folder whose name no small encoding has."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "モデル"))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_search_prints_any_text(encoding: str, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "u.txt").write_text("\n".join(TEXTS), "utf-8")
    printed = e5(encoding, "search", str(tiny_folder), str(tmp_path / "u.txt"), "bread").decode(encoding)
    for text in TEXTS:
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        assert f"  {shown}\n" in printed
    words = ["search", str(tiny_folder), str(tmp_path / "u.txt"), "-", "--json"]
    hits = json.loads(e5(encoding, *words, stdin="小麦粉\n".encode()).decode(encoding))
    assert {hit["text"] for hit in hits} == set(TEXTS)
    same = json.loads(e5(encoding, *words[:3], "小麦粉", "--json").decode(encoding))
    assert same == hits


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_info_prints_any_name(encoding: str, folder: Path) -> None:
    assert e5(encoding, "info", str(folder))
    assert json.loads(e5(encoding, "info", str(folder), "--json").decode(encoding))["folder"]


def test_verify_prints_any_name(folder: Path) -> None:
    # onnxruntime opens no path that the locale cannot spell, so ASCII is left out.
    assert b"golden texts" in e5("cp1252", "verify", str(folder))


def options() -> list[tuple[str, argparse.Action]]:
    """The options and arguments of all commands, those of `e5 serve` left out."""
    found, waiting = [], [("e5", _parser())]
    while waiting:
        name, parser = waiting.pop()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += [(f"{name} {below}", kind) for below, kind in action.choices.items()]
            elif action.dest not in ("help", "version") and not name.startswith("e5 serve"):
                found.append((f"{name} {action.option_strings or action.metavar}", action))
    return found


@pytest.mark.parametrize(("name", "action"), options(), ids=[name for name, _ in options()])
def test_every_option_is_explained(name: str, action: argparse.Action) -> None:
    text = action.help or ""
    assert len(text.split()) >= 3, name
    assert not re.match(r"default\b|of |that |at |for ", text)
    says = re.search(r"default|required", text) is not None
    assert says or action.required or action.default is None or action.dest in ("stale", "json")


def test_a_query_that_is_not_utf8(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "u.txt").write_text("moon", "utf-8")
    command = [sys.executable, "-m", "e5_onnx.cli", "search", str(tiny_folder), str(tmp_path / "u.txt"), "-"]
    done = subprocess.run(command, input=b"moon \xff\n", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"e5: error: QUERY is '-'; it must be UTF-8, and byte 5 is not" in done.stderr


def test_json_for_a_stdout_that_lacks_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, printed in {"ascii": b'["\\ud83d\\ude00"]\n', "utf-8": '["😀"]\n'.encode()}.items():
        stream = io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")
        monkeypatch.setattr(sys, "stdout", stream)
        print_json(["😀"])
        stream.flush()
        assert stream.buffer.getvalue() == printed


def test_a_query_of_stdin_that_is_not_utf8(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), "utf-8"))
    assert main(["search", str(tiny_folder), "u.txt", "-"]) == 2
    assert "QUERY is '-'; it must be UTF-8, and byte 0 is not" in capsys.readouterr().err
