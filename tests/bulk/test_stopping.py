"""A run that is stopped keeps what it computed, also of half a shard, and the rest follows to the byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from bulk_inputs import WRITERS, read_columns, read_rejects, read_vectors, rows, write
from waiting import until

from e5_onnx import Embedder
from e5_onnx.bulk import run
from e5_onnx.bulk.errors import RowError
from e5_onnx.bulk.journal import read_journal
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.progress import BulkProgress
from e5_onnx.bulk.run import run_bulk
from e5_onnx.bulk_job import Columns, Job
from e5_onnx.cli import main
from e5_onnx.cli.stopping import stopped_by_signals

ROWS = 400
# Reads 32 rows at a time: so large are the chunks too, that there are several.
CHUNK = 32


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e5_onnx.bulk.chunks.CHUNK_TEXTS", CHUNK)


def some_rows() -> list[dict[str, Any]]:
    return [row | ({"text": " "} if number % 36 == 7 else {}) for number, row in enumerate(rows(ROWS))]


class StopAfter(BulkProgress):
    """Sets an event after some chunks."""

    def __init__(self, chunks: int) -> None:
        super().__init__(shown=False)
        self.stop, self._chunks = Event(), chunks

    def add(self, rows: int, tokens: int, truncated: int) -> None:
        super().add(rows, tokens, truncated)
        self._chunks -= 1
        if not self._chunks:
            self.stop.set()


def contents(output: Path) -> tuple[bytes, dict[str, list[Any]], list[dict[str, Any]]]:
    """Vectors to the byte, columns and bad rows, however many parts they lie in."""
    return read_vectors(output).tobytes(), read_columns(output), read_rejects(output)


@pytest.mark.parametrize("output", ["out", "out.npy"])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_run_that_is_stopped_again_and_again(
    kind: str, output: str, tmp_path: Path, job: Callable[..., Job]
) -> None:
    columns = Columns() if kind.startswith("txt") else Columns("text", "doc", ("year",))
    path = write(kind, tmp_path, some_rows())
    whole = job(path, output=tmp_path / "whole" / output, columns=columns, shard_rows=150)
    asked = job(path, output=tmp_path / output, columns=columns, shard_rows=150, threads=1)
    run_bulk(whole)
    before, runs = 0, 0
    while True:
        progress = StopAfter(1 + runs % 3)
        done = run_bulk(asked, progress=progress, stop=progress.stop)
        assert done.done_before == before
        assert (done.rows, done.left) == (progress.kept, ROWS - done.rows)
        runs += 1
        if not done.left:
            break
        assert done.rows > before
        assert not (tmp_path / "out.npy").exists()
        before = done.rows
    assert runs > 2
    assert contents(asked.output) == contents(whole.output)


def test_a_part_ends_by_time(tmp_path: Path, job: Callable[..., Job]) -> None:
    path = write("parquet", tmp_path, some_rows())
    run_bulk(job(path, output=tmp_path / "whole", shard_rows=ROWS))
    run_bulk(job(path, shard_rows=ROWS, shard_seconds=1e-9))
    assert len(list((tmp_path / "whole").glob("*.parquet"))) == 1
    firsts = [receipt.first for receipt in read_journal(OutputLayout(tmp_path / "out").journal)]
    assert firsts == list(range(0, ROWS, CHUNK))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_the_rows_before_an_error_are_kept(tmp_path: Path, job: Callable[..., Job]) -> None:
    records = [{"text": "moon"}] * 200 + [{"text": None}] + [{"text": "tea"}] * 99
    path = write("jsonl", tmp_path, records)
    asked = job(path, on_bad_row="stop", shard_rows=1000)
    with pytest.raises(RowError, match="line 201: field 'text' is"):
        run_bulk(asked)
    assert [receipt.rows for receipt in read_journal(OutputLayout(asked.output).journal)] == [192]
    done = run_bulk(job(path, shard_rows=1000))
    assert (done.rows, done.done_before, done.rejected) == (300, 192, 1)


# Before it embeds a chunk it says so on stdout and waits for a byte of stdin.
HELD_RUN = """
import os, sys
from e5_onnx import Embedder
from e5_onnx.bulk import chunks
from e5_onnx.cli import main
chunks.CHUNK_TEXTS = 32
encode = Embedder.encode
def held(*arguments, **options):
    os.write(1, b".")
    os.read(0, 1)
    return encode(*arguments, **options)
Embedder.encode = held
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def held_after(chunks: int, words: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that has embedded some chunks and waits before the next."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", HELD_RUN, *words], **pipes, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(chunks):
            assert process.stdout.read(1) == b"."
            process.stdin.write(b".")
        assert process.stdout.read(1) == b"."
        yield process


@pytest.fixture
def words(tmp_path: Path, tiny_folder: Path) -> list[str]:
    path = write("jsonl", tmp_path, some_rows())
    options = ["--role", "document", "--id-column", "doc", "--threads", "1", "--no-progress"]
    return ["bulk", str(tiny_folder), str(path), *options, "--output", str(tmp_path / "out")]


def line_after(process: subprocess.Popen[bytes], begin: bytes) -> bytes:
    assert process.stderr is not None
    return next(line for line in iter(process.stderr.readline, b"") if line.startswith(begin))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_computed(
    number: signal.Signals, words: list[str], tmp_path: Path, job: Callable[..., Job]
) -> None:
    whole = job(
        tmp_path / "in.jsonl", output=tmp_path / "whole", columns=Columns("text", "doc"), shard_rows=16384
    )
    run_bulk(whole)
    with held_after(3, words) as process:
        process.send_signal(number)
        line_after(process, b"e5: stopping: ")
        assert process.stdin is not None
        process.stdin.write(bytes(100))
        told = line_after(process, b"e5: stopped: ").decode()
    assert process.returncode == 130
    assert told.startswith(
        f"e5: stopped: {4 * CHUNK} of {ROWS} rows are kept in {tmp_path / 'out'}: the same command"
    )
    assert [receipt.rows for receipt in read_journal(OutputLayout(tmp_path / "out").journal)] == [4 * CHUNK]
    again = [sys.executable, "-c", HELD_RUN, *words]
    done = subprocess.run(again, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert f"{ROWS} rows ({4 * CHUNK} done before)" in done.stderr
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 2


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGKILL])
def test_a_second_signal_stops_at_once(
    second: signal.Signals, words: list[str], tmp_path: Path, job: Callable[..., Job]
) -> None:
    with held_after(2, words) as process:
        process.send_signal(signal.SIGINT)
        line_after(process, b"e5: stopping: ")
        process.send_signal(second)
        assert process.wait() == -second
    layout = OutputLayout(tmp_path / "out")
    assert any(layout.partial.iterdir())
    run_bulk(job(tmp_path / "in.jsonl", columns=Columns("text", "doc"), shard_rows=16384))
    assert read_columns(tmp_path / "out")["id"] == [row["doc"] for row in some_rows() if row["text"].strip()]
    assert not any(layout.partial.iterdir())


@pytest.fixture
def signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_restored")
def test_a_signal_in_this_process(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    encode = Embedder.encode

    def interrupted(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return encode(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Embedder, "encode", interrupted)
        patched.setattr(signal, "SIG_DFL", signal.SIG_IGN)  # of further signals
        assert main(words) == 130
    (receipt,) = read_journal(OutputLayout(tmp_path / "out").journal)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(
        f"e5: stopped: {receipt.rows} of {ROWS} rows are kept in {tmp_path / 'out'}: the same"
    )
    assert 0 < receipt.rows < ROWS
    assert main(words) == 0
    assert f"{ROWS} rows ({receipt.rows} done before)" in capsys.readouterr().err


@pytest.mark.usefixtures("signals_restored")
def test_handlers_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, raised, before = BulkProgress(shown=False), list[int](), signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("e5_onnx.cli.stopping.signal.raise_signal", raised.append)
    progress.is_working = True
    with stopped_by_signals(progress) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        until(stop.is_set)
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: raised == [signal.SIGINT])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("count", [CHUNK, 2 * CHUNK])
def test_a_shard_that_ends_with_a_chunk(count: int, tmp_path: Path, job: Callable[..., Job]) -> None:
    assert run_bulk(job(write("txt", tmp_path, rows(count)), shard_rows=count)).written == count


@pytest.mark.usefixtures("signals_restored")
def test_a_signal_before_the_work(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "look_through", lambda *_: signal.raise_signal(signal.SIGINT))
    assert main(words) == 130
    assert capsys.readouterr().err.splitlines() == [
        "e5: stopped before any text was embedded: what earlier runs finished is kept",
        "e5: error: interrupted",
    ]


def test_a_run_of_a_library_is_stopped_before_it_begins(tmp_path: Path, job: Callable[..., Job]) -> None:
    stop = Event()
    stop.set()
    done = run_bulk(job(write("txt", tmp_path, rows(10))), stop=stop)
    assert (done.rows, done.left) == (0, 10)
    assert not list((tmp_path / "out").glob("*.parquet"))
