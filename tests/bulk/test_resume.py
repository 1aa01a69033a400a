"""A run that was stopped does what is missing, and nothing that was not begun by one like it."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bulk_inputs import contents, rows, write
from runtime_folders import edit
from waiting import a_moment_later, until

from e5_onnx.bulk.errors import OutputBusyError, OutputExistsError, ResumeError, RowError
from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.output import open_output
from e5_onnx.bulk.plan import Shard
from e5_onnx.bulk.run import embed_here, run_bulk
from e5_onnx.bulk.work import Tell, Work
from e5_onnx.bulk_job import Columns, Job

# Embeds as many chunks as it has bytes to read, so that it never ends before it is killed.
HELD_RUN = """
import sys
from e5_onnx import Embedder
from e5_onnx.cli import main
encode = Embedder.encode
def held(*arguments, **options):
    sys.stdin.buffer.raw.read(1)
    return encode(*arguments, **options)
Embedder.encode = held
sys.exit(main(sys.argv[1:]))
"""


class StoppedError(Exception):
    pass


def stopping_after(shards: int) -> Callable[[Work, Iterable[Shard], Tell], Iterator[Receipt]]:
    """An engine that does so many shards and breaks."""

    def engine(work: Work, wanted: Iterable[Shard], tell: Tell) -> Iterator[Receipt]:
        for number, receipt in enumerate(embed_here(work, wanted, tell), 1):
            yield receipt
            if number == shards:
                raise StoppedError

    return engine


def counting(done: list[int]) -> Callable[[Work, Iterable[Shard], Tell], Iterator[Receipt]]:
    """An engine that notes which shards it is asked for."""

    def engine(work: Work, wanted: Iterable[Shard], tell: Tell) -> Iterator[Receipt]:
        for receipt in embed_here(work, wanted, tell):
            done.append(receipt.first)
            yield receipt

    return engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four hundred rows, some of them bad."""
    records = [row | ({"text": None} if number % 36 == 7 else {}) for number, row in enumerate(rows(400))]
    return write("jsonl.gz", tmp_path, records)


def journal_lines(output: Path) -> int:
    journal = OutputLayout(output).journal
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for_lines(out: Path, least: int) -> None:
    until(lambda: journal_lines(out) >= least)


@pytest.mark.parametrize(("output", "seed"), [("out", 1), ("out.npy", 2)])
def test_killed_at_random_moments(
    output: str, seed: int, *, tmp_path: Path, path: Path, job: Callable[..., Job], tiny_folder: Path
) -> None:
    columns = Columns("text", "doc", ("year",))
    run_bulk(job(path, output=tmp_path / "whole" / output, columns=columns, shard_rows=10))
    out = tmp_path / output
    command = [
        sys.executable, "-c", HELD_RUN, "bulk", str(tiny_folder), str(path), "--output", str(out),
        "--role", "document", "--id-column", "doc", "--keep", "year", "--shard-rows", "10", "--threads", "1",
    ]  # fmt: skip
    generator = random.Random(seed)  # noqa: S311 - to be repeated
    for _ in range(6):
        before, shards = journal_lines(out), generator.randint(0, 2)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdin is not None
            process.stdin.write(bytes(shards + 1))
            process.stdin.flush()
            wait_for_lines(out, before + shards)
            a_moment_later(generator)  # while the next shard is read, worked on, written, or noted
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert before + shards <= journal_lines(out) <= before + shards + 1
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=True, capture_output=True, text=True)
    assert "e5: 400 rows (" in done.stderr
    assert contents(out) == contents(tmp_path / "whole" / output)
    assert not list(OutputLayout(out).partial.iterdir())


@pytest.mark.parametrize("shards", [1, 4, 9])
def test_only_what_is_missing_is_done(
    shards: int, tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    run_bulk(job(path, output=tmp_path / "whole" / "out"))
    with pytest.raises(StoppedError):
        run_bulk(job(path), engine=stopping_after(shards))
    done: list[int] = []
    summary = run_bulk(job(path), engine=counting(done))
    assert done == list(range(40 * shards, 400, 40))
    assert (summary.rows, summary.done_before) == (400, 40 * shards)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole" / "out")
    assert run_bulk(job(path), engine=counting(done)) == replace(summary, done_before=400)
    assert len(done) == 10 - shards


LOST = {
    "a part": lambda layout: layout.part(120).unlink(),
    "half a part": lambda layout: layout.part(120).write_bytes(layout.part(120).read_bytes()[:100]),
    "a list of bad rows": lambda layout: layout.rejects_of(120).unlink(),
}


@pytest.mark.parametrize("name", LOST)
def test_what_is_lost_is_done_again(name: str, tmp_path: Path, path: Path, job: Callable[..., Job]) -> None:
    run_bulk(job(path))
    whole = contents(tmp_path / "out")
    LOST[name](OutputLayout(tmp_path / "out"))
    done: list[int] = []
    run_bulk(job(path), engine=counting(done))
    assert done == [120]
    assert contents(tmp_path / "out") == whole


@pytest.mark.parametrize("lost", ["out.npy", "out.ids.parquet"])
def test_an_array_that_is_lost_is_made_again(
    lost: str, tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    asked = job(path, output=tmp_path / "out.npy")
    run_bulk(asked)
    whole = contents(asked.output)
    assert not list(OutputLayout(asked.output).parts.iterdir())
    done: list[int] = []
    run_bulk(asked, engine=counting(done))
    assert done == []
    (tmp_path / lost).unlink()
    run_bulk(asked, engine=counting(done))
    assert (len(done), contents(asked.output)) == (10, whole)


CHANGES: dict[str, dict[str, Any]] = {
    "role": {"role": "query"},
    "overflow": {"overflow": "window"},
    "id column": {"columns": Columns("text", "doc")},
    "kept columns": {"columns": Columns("text", None, ("year",))},
    "text column": {"columns": Columns("doc")},
    "vectors": {"vectors": "int8"},
    "rows in a shard": {"shard_rows": 39},
    "identity": {"identity": "mtime"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_option_is_refused(what: str, path: Path, job: Callable[..., Job]) -> None:
    with pytest.raises(StoppedError):
        run_bulk(job(path), engine=stopping_after(2))
    with pytest.raises(
        ResumeError, match=f"was started with {what} .* and now it is .*: resume it with"
    ) as caught:
        run_bulk(job(path, **CHANGES[what]))
    assert caught.value.what == what


def test_another_task_is_refused(path: Path, job: Callable[..., Job]) -> None:
    run_bulk(job(path, role="query"))
    run_bulk(
        job(
            path,
            role="query",
            task="Given a web search query, retrieve relevant passages that answer the query",
        )
    )
    with pytest.raises(ResumeError, match=r"with task Given a web search query.* and now it is find"):
        run_bulk(job(path, role="query", task="find"))


@pytest.mark.parametrize("overflow", ["warn", "truncate"])
def test_what_changes_no_row_may_change(overflow: str, path: Path, job: Callable[..., Job]) -> None:
    with pytest.raises(RowError, match="NoneType"):
        run_bulk(job(path, on_bad_row="stop", threads=1))
    with pytest.raises(StoppedError):
        run_bulk(job(path, threads=1), engine=stopping_after(2))
    assert run_bulk(job(path, overflow=overflow, threads=2, tokenizer="tokenizers")).done_before == 80


def test_another_model_is_refused(
    path: Path, job: Callable[..., Job], tiny_folder_copy: Path, tiny_folder: Path
) -> None:
    with pytest.raises(StoppedError):
        run_bulk(job(path), engine=stopping_after(2))
    assert run_bulk(job(path, model=tiny_folder_copy)).done_before == 80
    edit(tiny_folder_copy, lambda manifest: manifest["recipe"].update(default_task="another"))
    with pytest.raises(
        ResumeError, match=r"was started with fingerprint [0-9a-f]{64}, and now it is [0-9a-f]{64}: "
    ):
        run_bulk(job(path, model=tiny_folder_copy))
    assert run_bulk(job(path, model=tiny_folder)).done_before == 400


def changed(path: Path, how: str) -> tuple[str, ...]:
    """Changes an input of two files and returns its names."""
    other = path.with_name("other.jsonl")
    if how == "a character":
        other.write_bytes(other.read_bytes().replace(b"moon", b"mood", 1))
    elif how == "a row more":
        other.write_bytes(other.read_bytes() + b'{"text": "sea"}\n')
    elif how == "a file more":
        return (str(path), str(other), str(write("jsonl", path.parent, rows(1), name="third")))
    elif how == "a file less":
        return (str(path),)
    elif how == "their order":
        return (str(other), str(path))
    else:
        return (str(path), str(other.rename(path.with_name("renamed.jsonl"))))
    return (str(path), str(other))


@pytest.mark.parametrize("identity", ["content", "mtime"])
@pytest.mark.parametrize(
    "how", ["a character", "a row more", "a file more", "a file less", "their order", "a name"]
)
def test_changed_input_is_refused(how: str, identity: str, path: Path, job: Callable[..., Job]) -> None:
    other = write("jsonl", path.parent, rows(50), name="other")
    asked = job(path, inputs=(str(path), str(other)), identity=identity)
    with pytest.raises(StoppedError):
        run_bulk(asked, engine=stopping_after(2))
    with pytest.raises(
        ResumeError, match=r"was started with (files|input file \d) .*, and now it is "
    ) as caught:
        run_bulk(replace(asked, inputs=changed(path, how)))
    assert caught.value.output == asked.output


def test_the_same_input_elsewhere_is_gone_on_with(
    path: Path, tmp_path: Path, job: Callable[..., Job]
) -> None:
    with pytest.raises(StoppedError):
        run_bulk(job(path), engine=stopping_after(2))
    (tmp_path / "moved").mkdir()
    copied = Path(shutil.copy(path, tmp_path / "moved"))  # with another time of change
    assert run_bulk(job(copied)).done_before == 80


@pytest.mark.parametrize("output", ["out", "out.npy"])
def test_what_is_not_a_bulk_runs_is_left_alone(
    output: str, tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    taken = tmp_path / output
    taken.mkdir()
    (taken / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(OutputExistsError, match="exists, and it was not made by a bulk run") as caught:
        run_bulk(job(path, output=taken))
    assert str(taken) in str(caught.value)
    assert [file.name for file in taken.iterdir()] == ["notes.txt"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, path: Path, job: Callable[..., Job]) -> None:
    (tmp_path / "out").write_text("mine", "utf-8")
    with pytest.raises(OutputExistsError):
        run_bulk(job(path))


def test_an_empty_folder_is_taken_and_an_old_array_replaced(
    tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out.npy").write_bytes(b"old")
    run_bulk(job(path))
    run_bulk(job(path, output=tmp_path / "out.npy"))
    assert (tmp_path / "out.npy").read_bytes().startswith(b"\x93NUMPY")


def test_a_run_that_was_killed_before_it_began_is_begun(
    tmp_path: Path, path: Path, job: Callable[..., Job]
) -> None:
    with open_output(OutputLayout(tmp_path / "out")):
        pass
    assert run_bulk(job(path)).done_before == 0


def test_two_processes_do_not_write_in_one_place(tmp_path: Path, path: Path, job: Callable[..., Job]) -> None:
    with open_output(OutputLayout(tmp_path / "out")), pytest.raises(OutputBusyError, match="another process"):
        run_bulk(job(path))


def test_the_state_says_what_was_asked_for(tmp_path: Path, path: Path, job: Callable[..., Job]) -> None:
    run_bulk(job(path))
    state = json.loads(OutputLayout(tmp_path / "out").state.read_text("utf-8"))
    assert (state["version"], state["settings"]["role"]) == (2, "document")
    (file,) = state["input"]
    assert (file["name"], file["bytes"]) == ("in.jsonl.gz", path.stat().st_size)
