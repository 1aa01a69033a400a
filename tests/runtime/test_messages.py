"""A log that cannot be written ends no command; a result that cannot be written does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from e5_onnx import Embedder
from e5_onnx.messages import messages_may_be_lost

FULL = Path("/dev/full")
needs_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
TEXTS = [f"moon {number} " + "river " * 40 * (number % 2) for number in range(50)]


def run(*words: object, stderr: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "e5_onnx.cli", *map(str, words)]
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, preexec_fn=stderr)


def to_a_full_disk() -> None:
    os.dup2(os.open(FULL, os.O_WRONLY), 2)


STREAMS = [
    pytest.param(to_a_full_disk, id="full", marks=needs_a_full_disk),
    pytest.param(lambda: os.close(2), id="closed"),
]


@pytest.mark.skipif(os.name == "nt", reason="Windows starts processes in another way")
@pytest.mark.parametrize("stderr", STREAMS)
def test_a_log_that_cannot_be_written_ends_nothing(
    stderr: Callable[[], None], tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "in.txt").write_text("".join(text + "\n" for text in TEXTS), "utf-8")
    words = (
        "embed",
        tiny_folder,
        tmp_path / "in.txt",
        "--role",
        "document",
        "--output",
        tmp_path / "out.npy",
    )
    assert run(*words, stderr=stderr).returncode == 0
    with Embedder(tiny_folder, overflow="truncate") as model:
        np.testing.assert_allclose(np.load(tmp_path / "out.npy"), model.embed_documents(TEXTS), atol=2e-6)
    assert run("embed", tiny_folder, tmp_path / "absent.txt", stderr=stderr).returncode == 2


@needs_a_full_disk
def test_a_result_that_cannot_be_written_is_an_error(tiny_folder: Path) -> None:
    with FULL.open("w") as full:
        command = [sys.executable, "-m", "e5_onnx.cli", "info", str(tiny_folder)]
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "e5: error: [Errno 28] No space left on device\n")


def test_messages_come_at_once_and_in_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as log:
        monkeypatch.setattr(sys, "stderr", log)
        with messages_may_be_lost():
            assert sys.stderr.fileno() == log.fileno()
            assert not sys.stderr.isatty()
            sys.stderr.write("東京\n")
            assert (tmp_path / "log").read_text("utf-8") == "東京\n"
        assert sys.stderr is log


def test_a_terminal_and_a_stream_of_a_test_are_written_to_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with messages_may_be_lost():
        sys.stderr.write("hello")
    assert capsys.readouterr().err == "hello"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with messages_may_be_lost():
        assert sys.stderr.isatty()
        sys.stderr.write("hello")
    assert capsys.readouterr().err == "hello"
