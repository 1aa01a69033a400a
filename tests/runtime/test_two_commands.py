"""`e5 embed` streams one file and fails on a bad row; `e5 bulk` takes the rest. Each names the other."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.cli import main

FOR_BULK = {
    "two files": (["a.txt", "b.txt", "--output", "o.npy"], "INPUT is 'a.txt b.txt'; it must be one file; "),
    "a folder": (
        ["texts", "--output", "o.npy"],
        "INPUT is 'texts'; it must be a .txt or .jsonl file, or - for",
    ),
    "a pattern": (["*.txt", "--output", "o.npy"], "INPUT is '*.txt'"),
    "Parquet": (["a.parquet", "--output", "o.npy"], "INPUT is 'a.parquet'"),
    "CSV": (["a.csv", "--output", "o.npy"], "INPUT is 'a.csv'"),
    "a compressed file": (["a.txt.gz", "--output", "o.npy"], "INPUT is 'a.txt.gz'"),
    "a folder to write": (
        ["a.txt", "--output", "out"],
        "--output is 'out'; it must be a .npy or .jsonl file, or",
    ),
    "a folder that is there": (["a.txt", "--output", "texts"], "--output is 'texts'"),
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts").mkdir()
    Path("a.txt").write_text("moon\n", "utf-8")
    Path("b.txt").write_text("tea\n", "utf-8")


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("name", FOR_BULK)
def test_embed_names_bulk(name: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = FOR_BULK[name]
    assert main(["embed", str(tiny_folder), *words, "--role", "raw"]) == 2
    line = last_line(capsys)
    assert line.startswith(f"e5: error: {message}")
    assert "; `e5 bulk` " in line
    assert not Path("o.npy").exists()


BULK_OPTIONS = [
    "--id-column",
    "--keep",
    "--vectors",
    "--on-bad-row",
    "--shard-rows=5",
    "--identity",
    "--engine",
]


@pytest.mark.parametrize("option", BULK_OPTIONS)
def test_embed_says_whose_option_it_is(
    option: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["embed", str(tiny_folder), "a.txt", "--output", "o.npy", option, "x"])
    assert last_line(capsys) == f"e5: error: {option.partition('=')[0]} is an option of `e5 bulk`"


def test_bulk_says_whose_option_it_is(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, owner in {
        "--input-format": "`e5 embed`",
        "--top": "`e5 search`",
        "--json": "`e5 search` and",
    }.items():
        with pytest.raises(SystemExit, match="2"):
            main(["bulk", str(tiny_folder), "a.txt", "--output", "o.npy", option, "txt"])
        assert last_line(capsys).startswith(f"e5: error: {option} is an option of {owner}")


def test_an_option_of_no_command(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["embed", str(tiny_folder), "a.txt", "--output", "o.npy", "--colour", "red"])
    assert last_line(capsys) == "e5: error: unknown: --colour red"


FOR_EMBED = {
    "stdin": (["-", "--output", "out"], "INPUT is '-'; it must be files, which a resumed run reads again"),
    "stdout": (["a.txt", "--output", "-"], "--output is '-'; it must be a folder or a .npy file"),
    "JSON lines": (["a.txt", "--output", "o.JSONL"], "--output is 'o.JSONL'; it must be a folder or a .npy"),
}


@pytest.mark.parametrize("name", FOR_EMBED)
def test_bulk_names_embed(name: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = FOR_EMBED[name]
    assert main(["bulk", str(tiny_folder), *words, "--role", "raw"]) == 2
    line = last_line(capsys)
    assert line.startswith(f"e5: error: {message}")
    assert "; `e5 embed` " in line


@pytest.mark.parametrize(
    ("command", "told"), [("embed", "names the line"), ("bulk", "goes to rejects.jsonl")]
)
def test_help_says_what_becomes_of_a_bad_row(
    command: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    (paragraph,) = [text for text in capsys.readouterr().out.split("\n\n") if text.startswith("A bad row")]
    assert told in paragraph


BAD_LAST_LINES = {
    "bad.jsonl": b'{"text": "moon"}\n' * 600 + b'{"text": 5}\n',
    "bad.txt": b"moon\n" * 600 + b"\xff\n",
}


@pytest.mark.parametrize("output", ["o.jsonl", "-"])
@pytest.mark.parametrize("name", BAD_LAST_LINES)
def test_a_bad_line_is_found_before_any_text_is_embedded(
    name: str,
    output: str,
    *,
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    Path(name).write_bytes(BAD_LAST_LINES[name])
    monkeypatch.setattr(Embedder, "stream", lambda *_, **__: pytest.fail("a text was embedded"))
    assert main(["embed", str(tiny_folder), name, "--role", "raw", "--output", output]) == 1
    captured = capfdbinary.readouterr()
    assert captured.out == b""
    assert f"{name}, line 601: ".encode() in captured.err
    assert not Path("o.jsonl").exists()


NOT_LINES = {
    "an array": (b'[{"text": "a"}]\n', "it is a JSON array: write an object a line"),
    "an array over lines": (b'\n[\n  {"text": "a"},\n  {"text": "b"}\n]\n', "it is a JSON array"),
    "one object over lines": (b'{\n  "text": "a"\n}\n', "its JSON goes over several lines"),
    "an object that begins with a key": (b'{"text": "a",\n "id": 1}\n', "its JSON goes over several lines"),
    "a nested object": (b'{"meta": {\n "id": 1}, "text": "a"}\n', "its JSON goes over several lines"),
    "half an object": (b"{", "its JSON goes over several lines"),
    "UTF-16": ('{"text": "a"}\n'.encode("utf-16"), "it is UTF-16: convert it to UTF-8"),
    "UTF-16 without a mark": ('{"text": "a"}\n'.encode("utf-16-le"), "it is UTF-16"),
    "UTF-16, big end first": ('{"text": "a"}\n'.encode("utf-16-be"), "it is UTF-16"),
}


@pytest.mark.parametrize("name", NOT_LINES)
def test_a_file_that_is_not_lines_of_json(
    name: str, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, message = NOT_LINES[name]
    Path("in.jsonl").write_bytes(data)
    assert main(["embed", str(tiny_folder), "in.jsonl", "--role", "raw", "--output", "o.npy"]) == 1
    assert last_line(capsys).startswith(f"e5: error: in.jsonl, line 1: {message}")


LINES_OF_JSON = {
    "blank lines": (b'\n{"text": "moon"}\n \n\r\n{"text": "tea"}\n\n', 2),
    "spaces around": (b'  {"text": "moon"}  \n\t{"text": "tea"}', 2),
    "a byte order mark": (b'\xef\xbb\xbf{"text": "moon"}\n{"text": "tea"}\n', 2),
    "nothing": (b"", 0),
    "nothing but blank lines": (b"\n\n", 0),
}


@pytest.mark.parametrize("name", LINES_OF_JSON)
def test_blank_lines_of_json_are_skipped(name: str, tiny_folder: Path) -> None:
    data, rows = LINES_OF_JSON[name]
    Path("in.jsonl").write_bytes(data)
    assert main(["embed", str(tiny_folder), "in.jsonl", "--role", "raw", "--output", "o.npy"]) == 0
    with Embedder(tiny_folder) as model:
        np.testing.assert_allclose(
            np.load("o.npy"), model.encode(["moon", "tea"][:rows], role="raw").vectors, atol=1e-6
        )


def test_a_bad_line_is_counted_with_the_blank_ones(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in.jsonl").write_text('{"text": "a"}\n\n\n{"text": 1}\n', "utf-8")
    assert main(["embed", str(tiny_folder), "in.jsonl", "--role", "raw", "--output", "o.npy"]) == 1
    assert "in.jsonl, line 4: " in last_line(capsys)
    Path("in.jsonl").write_text('{"text": "a"}\n\n{"text": "' + "moon " * 400 + '"}\n', "utf-8")
    words = ["in.jsonl", "--role", "raw", "--output", "o.npy", "--overflow", "error"]
    assert main(["embed", str(tiny_folder), *words]) == 1
    assert "in.jsonl, line 3: it has 4" in last_line(capsys)


def test_rows_of_stdin_before_a_bad_one_are_written(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b'{"text": "moon"}\n{"text": 5}\n'), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    words = ["-", "--input-format", "jsonl", "--role", "raw", "--output", "-"]
    assert main(["embed", str(tiny_folder), *words]) == 1
    captured = capfdbinary.readouterr()
    assert [json.loads(line)["text"] for line in captured.out.splitlines()] == ["moon"]
    assert b"<stdin>, line 2: field 'text' is int, not a string" in captured.err
