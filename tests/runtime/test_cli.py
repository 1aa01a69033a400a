from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.cli import main

LINES = ["moon", "the city is red", "", "tea\u2028house", "東京"]
EXTENSION_OF = {"npy": "out.npy", "jsonl": "out.jsonl", "-": "-"}


@pytest.fixture(scope="module")
def expected(tiny_folder: Path) -> dict[str, np.ndarray]:
    with Embedder(tiny_folder, threads=1) as model:
        return {role: model.encode(LINES, role=role).vectors for role in ("query", "document", "raw")}


def stdin_of(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def write_input(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    text = "\n".join(LINES) + "\n"
    records = "".join(json.dumps({"id": row, "text": line}) + "\n" for row, line in enumerate(LINES))
    if kind == "-":
        stdin_of(monkeypatch, text.encode())
        return ["-"]
    if kind == "- as jsonl":
        stdin_of(monkeypatch, records.encode())
        return ["-", "--input-format", "jsonl"]
    path = folder / f"in.{kind}"
    path.write_bytes((text if kind == "txt" else records).encode())
    return [str(path)]


@pytest.mark.parametrize("role", ["query", "document", "raw"])
@pytest.mark.parametrize("output", EXTENSION_OF)
@pytest.mark.parametrize("kind", ["txt", "jsonl", "-", "- as jsonl"])
def test_embed(
    kind: str,
    output: str,
    role: str,
    *,
    tiny_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    expected: dict[str, np.ndarray],
) -> None:
    out = "-" if output == "-" else str(tmp_path / EXTENSION_OF[output])
    given = write_input(kind, tmp_path, monkeypatch)
    assert main(["embed", str(tiny_folder), *given, "--role", role, "--output", out]) == 0
    captured = capfdbinary.readouterr()
    assert captured.err.startswith(b"e5: 5 texts, ")
    if output == "npy":
        found = np.load(out)
        assert (found.dtype, captured.out) == (np.float32, b"")
    else:
        data = captured.out if output == "-" else Path(out).read_bytes()
        rows = [json.loads(line) for line in data.splitlines()]
        assert [row["text"] for row in rows] == LINES
        if "jsonl" in kind:
            assert [row["id"] for row in rows] == list(range(5))
        found = np.array([row["embedding"] for row in rows], np.float32)
    np.testing.assert_allclose(found, expected[role], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


TEXT_FILES = {
    "line feeds": (b"a\nb\n", 2),
    "no last line feed": (b"a\nb", 2),
    "blank lines": (b"\n\na\n\n", 4),
    "carriage returns": (b"a\r\nb\r\n", 2),
    "a byte order mark": (b"\xef\xbb\xbfa\n", 1),
    "other line separators": ("a\u2028b\x0bc\x85d\n".encode(), 1),
    "nothing": (b"", 0),
}


@pytest.mark.parametrize("name", TEXT_FILES)
def test_lines_are_rows(name: str, tiny_folder: Path, tmp_path: Path) -> None:
    data, rows = TEXT_FILES[name]
    (tmp_path / "in.txt").write_bytes(data)
    out = str(tmp_path / "out.npy")
    assert main(["embed", str(tiny_folder), str(tmp_path / "in.txt"), "--role", "raw", "--output", out]) == 0
    assert np.load(out).shape == (rows, 32)


def test_windows_files_give_the_same_vectors(tiny_folder: Path, tmp_path: Path) -> None:
    found = []
    for name, data in {"unix": b"moon\ntea\n", "windows": b"\xef\xbb\xbfmoon\r\ntea\r\n"}.items():
        (tmp_path / f"{name}.txt").write_bytes(data)
        arguments = [
            str(tmp_path / f"{name}.txt"),
            "--role",
            "raw",
            "--output",
            str(tmp_path / f"{name}.npy"),
        ]
        assert main(["embed", str(tiny_folder), *arguments]) == 0
        found.append((tmp_path / f"{name}.npy").read_bytes())
    assert found[0] == found[1]


def test_an_embedding_that_is_there_is_replaced(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"body": "moon", "embedding": 1}\n{"embedding": 2, "body": "tea"}', "utf-8"
    )
    out = tmp_path / "out.jsonl"
    arguments = ["--field", "body", "--role", "document", "--output", str(out)]
    assert main(["embed", str(tiny_folder), str(tmp_path / "in.jsonl"), *arguments]) == 0
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [(row["body"], len(row["embedding"]), len(row)) for row in rows] == [
        ("moon", 32, 2),
        ("tea", 32, 2),
    ]


LONG = "moon " * 400


BAD_RECORDS = {
    "not JSON": (b'{"text": "a"}\n{text}\n', 2, "not JSON: Expecting property name"),
    "an array": (b'{"text": "a"}\n[1]\n', 2, "it is list, not a JSON object"),
    "no such field": (
        b'{"txt": "a", "id": 1}\n',
        1,
        "it has no field 'text'; it has 'txt', 'id': `--text-column` names another",
    ),
    "not a string": (b'{"text": 5}\n', 1, "field 'text' is int, not a string"),
    "null": (b'{"text": null}\n', 1, "field 'text' is NoneType, not a string"),
    "a lone surrogate": (b'{"text": "ab\\ud800"}\n', 1, "a lone surrogate at character 2"),
    "not UTF-8": (b'{"text": "a"}\n{"text": "\xff"}\n', 2, "byte 10 is not UTF-8; convert the file"),
    "nested": (b'{"text": ' + b"[" * 100_000 + b"\n", 1, "."),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_is_named_and_nothing_is_written(
    name: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, line, message = BAD_RECORDS[name]
    (tmp_path / "in.jsonl").write_bytes(data)
    out = tmp_path / "out.npy"
    arguments = [str(tmp_path / "in.jsonl"), "--role", "raw", "--output", str(out)]
    assert main(["embed", str(tiny_folder), *arguments]) == 1
    error = capsys.readouterr().err
    assert f"in.jsonl, line {line}: " in error
    assert re.search(message, error)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("policy", "code", "message"),
    [
        ("warn", 0, "; 1 cut to 128 tokens"),
        ("truncate", 0, "; 1 cut to 128 tokens"),
        ("window", 0, "s\n"),
        ("error", 1, "in.txt, line 2: it has 4"),
    ],
)
def test_long_texts(
    policy: str,
    code: int,
    message: str,
    *,
    tiny_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "in.txt").write_text(f"moon\n{LONG}\n", "utf-8")
    arguments = ["--role", "document", "--overflow", policy, "--output", str(tmp_path / "out.npy")]
    assert main(["embed", str(tiny_folder), str(tmp_path / "in.txt"), *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Warning" not in error
    assert (tmp_path / "out.npy").exists() is (code == 0)


EMBED = ["embed", "{model}", "{text}", "--output", "-"]

USAGE = {
    "no role": (EMBED, "--role is missing; it must be one of query, document, raw for recipe"),
    "unknown input": (["embed", "{model}", "a.doc", "--role", "raw", "--output", "-"], "INPUT is 'a.doc'"),
    "unknown output": ([*EMBED, "--role", "raw", "--output", "o.csv"], "--output is 'o.csv'"),
    "a task for documents": ([*EMBED, "--role", "document", "--task", "t"], "takes no task"),
    "windows for queries": ([*EMBED, "--role", "query", "--overflow", "window"], "windows are for"),
    "no threads": ([*EMBED, "--role", "raw", "--threads", "0"], "--threads is 0"),
    "top of none": (["search", "{model}", "{text}", "q", "--top", "0"], "--top is 0; it must be at least 1"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage_errors(
    name: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("moon\n", "utf-8")
    arguments, message = USAGE[name]
    places = {"model": str(tiny_folder), "text": str(tmp_path / "in.txt")}
    assert main([argument.format(**places) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("e5: error: ")
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "arguments", [[], ["sing"], ["embed"], ["embed", "m", "i", "--role", "x", "--output", "-"]]
)
def test_what_argparse_refuses(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


FAILURES = {
    "no folder": (["info", "absent"], "no model folder at absent"),
    "no input": (["embed", "{model}", "absent.txt", "--role", "raw", "--output", "-"], "absent.txt"),
    "no place for the output": (
        ["embed", "{model}", "{text}", "--role", "raw", "--output", "absent/o.npy"], "absent"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_failures(name: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.txt").write_text("moon\n", "utf-8")
    arguments, message = FAILURES[name]
    places = {"model": str(tiny_folder), "text": str(tmp_path / "in.txt")}
    assert main([argument.format(**places) for argument in arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_full_disk(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("moon\n", "utf-8")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    arguments = [str(tmp_path / "in.txt"), "--role", "raw", "--output", str(tmp_path / "o.npy")]
    assert main(["embed", str(tiny_folder), *arguments]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


@pytest.fixture
def sigterm_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm_restored")
def test_a_kill_leaves_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("moon\n", "utf-8")

    def interrupted(*_arguments: object, **_options: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Embedder, "stream", interrupted)
    arguments = [str(tmp_path / "in.txt"), "--role", "raw", "--output", str(tmp_path / "o.npy")]
    assert main(["embed", str(tiny_folder), *arguments]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def e5(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "e5_onnx.cli", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_the_real_program(tiny_folder: Path, tmp_path: Path) -> None:
    done = e5(
        "embed", str(tiny_folder), "-", "--role", "query", "--task", "find", "--output", "-", stdin=b"tea"
    )
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    with Embedder(tiny_folder) as model:
        np.testing.assert_allclose(row["embedding"], model.embed_queries("tea", task="find"), atol=1e-6)
    assert e5("--version").stdout.startswith(b"e5-onnx ")


def test_a_reader_that_goes_away(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("moon\n" * 3000, "utf-8")
    embed = f"{sys.executable} -m e5_onnx.cli embed {tiny_folder} {tmp_path / 'in.txt'}"
    command = f"{embed} --role raw --output - | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, check=True)  # noqa: S602 - our own words
    assert len(done.stdout.splitlines()) == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["embed", "search", "info", "verify"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"example:\n  e5 {command} my-e5" in capsys.readouterr().out
