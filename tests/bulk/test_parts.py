"""The parts of a bulk run by themselves."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_inputs import WRITERS, rows, write
from hypothesis import given
from hypothesis import strategies as st

from e5_onnx import Embedder
from e5_onnx.bulk.chunks import ChunkReader
from e5_onnx.bulk.errors import InputFileError, ShardLostError
from e5_onnx.bulk.formats import open_rows
from e5_onnx.bulk.formats.byte_stream import named_damage
from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.output import open_output
from e5_onnx.bulk.overlap import in_order
from e5_onnx.bulk.plan import Shard, ShardPlan, Slice
from e5_onnx.bulk.progress import BulkProgress
from e5_onnx.bulk.run import embed_here, run_bulk
from e5_onnx.bulk.survey import look_through
from e5_onnx.bulk.vectors import quantise
from e5_onnx.bulk.work import Tell, Work, open_bulk_model
from e5_onnx.bulk_job import Columns, Job
from e5_onnx.errors import OptionError
from e5_onnx.model_folder.folder import ModelFolder
from e5_onnx.text_input.text_files import find_files, recognise_format


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 12), st.data())
def test_a_plan_holds_every_missing_row_once_and_in_order(
    files: list[int], size: int, data: st.DataObject
) -> None:
    plan = ShardPlan(files, size)
    rows = [(file, row) for file, count in enumerate(files) for row in range(count)]
    assert plan.rows == len(rows)
    lengths = data.draw(st.lists(st.integers(1, size), min_size=plan.rows, max_size=plan.rows))
    some = data.draw(st.sets(st.integers(0, max(0, plan.rows - 1))))
    done = plan.accepted({first: lengths[first] for first in some if first < plan.rows})
    missing = [
        row for row in range(plan.rows) if not any(first <= row < first + n for first, n in done.items())
    ]
    found: list[Any] = []
    for shard in plan.missing(done):
        assert shard.first // size == (shard.first + max(1, shard.rows) - 1) // size
        for number, part in enumerate(shard.slices):
            assert part.rows > 0, number
            found += [(part.file, part.first + row) for row in range(part.rows)]
    assert found == [rows[row] for row in missing]


def test_a_plan_of_nothing_has_a_shard_of_nothing() -> None:
    plan = ShardPlan([0, 0], 10)
    assert list(plan.missing({})) == [Shard(0, ())]
    assert plan.accepted({0: 0, 5: 5}) == {0: 0}
    assert list(plan.missing({0: 0})) == []


STRANGE = {
    "behind the end": {100: 10},
    "over the end": {90: 20},
    "over two shards": {5: 10},
    "of no rows": {20: 0},
    "in another": {10: 10, 15: 5},
}


@pytest.mark.parametrize("name", STRANGE)
def test_shards_that_are_not_of_the_plan(name: str) -> None:
    found = ShardPlan([60, 40], 10).accepted(STRANGE[name])
    assert found == ({10: 10} if name == "in another" else {})


@pytest.mark.parametrize("workers", [1, 3])
def test_work_overlaps_and_stays_in_order(workers: int) -> None:
    read: list[int] = []
    busy, most, lock = [0], [0], threading.Lock()

    def source() -> Iterator[int]:
        for item in range(30):
            read.append(item)
            yield item

    all_work, later_is_done = threading.Barrier(workers), threading.Event()

    def work(item: int) -> int:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        if item < workers:
            all_work.wait()  # a machine with one CPU may do one after another
        if workers > 1:  # the first ends after one that came later
            later_is_done.wait() if item == 0 else later_is_done.set()
        with lock:
            busy[0] -= 1
        return item * item

    found: list[Any] = []
    for done in in_order(source(), work, workers=workers, stop=threading.Event()):
        found.append(done)
        assert len(read) <= len(found) + 3 * workers + 2
    assert found == [item * item for item in range(30)]
    assert most[0] == workers


class BrokenError(Exception):
    pass


def broken_source(items: int) -> Iterator[int]:
    yield from range(items)
    raise BrokenError


@pytest.mark.parametrize("items", [0, 1, 5])
def test_what_came_before_a_broken_source_is_done_first(items: int) -> None:
    found: list[Any] = []
    with pytest.raises(BrokenError):
        found.extend(in_order(broken_source(items), str, workers=2, stop=threading.Event()))
    assert found == list(map(str, range(items)))


def test_what_came_before_broken_work_is_done_first() -> None:
    def work(item: int) -> float:
        return 1 / (4 - item)

    found: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        found.extend(in_order(range(100), work, workers=2, stop=threading.Event()))
    assert found == [1 / 4, 1 / 3, 1 / 2, 1]


def test_work_that_is_not_wanted_any_more_ends() -> None:
    done = in_order(iter(range(10**9)), str, workers=2, stop=threading.Event())
    assert next(done) == "0"
    done.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("work", "read"))]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    names = [
        "b.csv",
        "a.jsonl",
        "deep/c.parquet",
        "_hidden.csv",
        "deep/.d.csv",
        "_e5/e.txt",
        "notes.md",
        "x.csv.gz",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


FOUND = {
    ".": ["a.jsonl", "b.csv", "deep/c.parquet", "x.csv.gz"],
    "*.csv*": ["_hidden.csv", "b.csv", "x.csv.gz"],
    "**/*.parquet": ["deep/c.parquet"],
    "x.csv.gz": ["x.csv.gz"],
    "[ab].*": ["a.jsonl", "b.csv"],
}


@pytest.mark.parametrize("name", FOUND)
def test_files_are_found_in_order(name: str, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)
    assert [str(file) for file in find_files([name]).files] == FOUND[name]


REFUSED = {
    "*.xyz": "inputs is '*.xyz'; it must be a file, or what names files with the ending .parquet, .arrow",
    "empty": "inputs is 'empty'; it must be a file, or what names files with",
    "notes.md": "inputs is 'notes.md'; it must be a file with the ending .parquet",
    "*": "inputs is '*: notes.md'; it must be a file with the ending",
    "part.parquet.gz": "inputs is 'part.parquet.gz'; it must be a file with the ending",
    "b.csv b.csv": "inputs is 'b.csv'; it must be free of files that are named twice, as b.csv is",
    "b.csv .": "inputs is '.'; it must be free of files that are named twice, as b.csv is",
}  # fmt: skip


@pytest.mark.parametrize("names", REFUSED)
def test_files_that_are_refused(names: str, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)
    (corpus / "empty").mkdir()
    with pytest.raises(OptionError) as caught:
        find_files(names.split())
    assert str(caught.value).startswith(REFUSED[names])


def test_a_file_with_the_signs_of_a_pattern_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a[1].csv").touch()
    assert [str(file) for file in find_files(["a[1].csv"]).files] == ["a[1].csv"]


@pytest.mark.parametrize("first", [0, 1, 69, 70, 149, 150, 199, 200])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_reader_starts_at_any_row(kind: str, first: int, tmp_path: Path) -> None:
    file = recognise_format(write(kind, tmp_path, rows(200)))
    assert file is not None
    columns = Columns()
    reader = open_rows(file, columns, look_through([file], columns).beside)
    reader.skip(first)
    found, position = [], first
    while piece := reader.read(60):
        assert 0 < len(piece) <= 60
        found += piece.texts
        position += len(piece)
        assert reader.position == position
    reader.close()
    assert found == [row["text"] for row in rows(200)][first:]


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    file = recognise_format(write("parquet", tmp_path, rows(20)))
    assert file is not None
    survey = look_through([file], Columns())
    write("parquet", tmp_path, rows(15))
    reader = ChunkReader(survey, Columns(), "reject")
    with pytest.raises(InputFileError, match=r"in.parquet: it ends before row 19: it was changed"):
        list(reader.chunks([Shard(0, (Slice(0, 0, 20),))]))


def test_shards_may_be_read_in_any_order(tmp_path: Path) -> None:
    file = recognise_format(write("jsonl", tmp_path, rows(60)))
    assert file is not None
    reader = ChunkReader(look_through([file], Columns()), Columns(), "reject")
    plan = ShardPlan([60], 10)
    for first in (40, 50, 10, 10, 30):
        (chunk,) = reader.chunks([plan.shard(first, 10)])
        assert (chunk.first, chunk.columns.column("id").to_pylist()) == (
            first,
            list(range(first, first + 10)),
        )


def test_a_shard_without_rows_has_a_chunk_without_rows(tmp_path: Path) -> None:
    file = recognise_format(write("jsonl", tmp_path, []))
    assert file is not None
    reader = ChunkReader(look_through([file], Columns()), Columns(), "reject")
    (chunk,) = reader.chunks([Shard(0, ())])
    assert (chunk.texts, chunk.columns.num_rows, chunk.columns.column_names) == ([], 0, ["id"])


def test_long_texts_make_smaller_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("e5_onnx.bulk.chunks.CHUNK_CHARACTERS", 1000)
    file = recognise_format(write("jsonl", tmp_path, [{"text": "m" * 50}] * 300))
    assert file is not None
    reader = ChunkReader(look_through([file], Columns()), Columns(), "reject")
    chunks = list(reader.chunks([ShardPlan([300], 300).shard(0, 300)]))
    assert [len(chunk.texts) for chunk in chunks] == [32] * 9 + [12]


def test_an_error_of_the_system_stays_its_own(tmp_path: Path) -> None:
    damaged = recognise_format(tmp_path / "in.txt")
    assert damaged is not None
    with pytest.raises(OSError, match="Input/output error"), named_damage(damaged):
        raise OSError(5, "Input/output error")


def test_a_part_that_cannot_be_seen_is_not_counted(tmp_path: Path) -> None:
    receipt = Receipt(0, 1, 1, 0, tokens=1, truncated=0, sha256=64 * "a")
    layout = OutputLayout(tmp_path / "out")
    with open_output(layout) as output:
        output.begin({}, [], ShardPlan([1], 1))
        with pytest.raises(
            ShardLostError, match=r"part-000000000000.parquet was written by another process and cannot be"
        ):
            output.commit(receipt)
        layout.part(0).write_bytes(bytes(10))
        output.commit(receipt)
        assert output.receipts == {0: receipt}


def test_rounding_to_int8() -> None:
    vectors = np.array([[1.0, -0.5, 0.0], [0.0, 0.0, 0.0], [-0.1, 0.05, 0.02]], np.float32)
    numbers, scales = quantise(vectors)
    assert (numbers.dtype, scales.dtype) == (np.int8, np.float32)
    assert numbers.tolist() == [[127, -64, 0], [0, 0, 0], [-127, 64, 25]]
    np.testing.assert_allclose(numbers * scales[:, None], vectors, atol=1 / 254 + 1e-7)
    assert [array.shape for array in quantise(np.empty((0, 3), np.float32))] == [(0, 3), (0,)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(stream: io.StringIO, *, shown: bool | None = None) -> str:
    seconds = [0.0]
    progress = BulkProgress(stream=stream, clock=lambda: seconds[0], shown=shown)
    progress.say("looking through 2 files")
    seconds[0] = 500.0
    progress.begin(1200, done=200)
    for step in range(1, 5):
        seconds[0] += 31.0
        progress.add(100, 1000, 0)
        assert progress.texts.texts == 100 * step
    progress.close()
    return stream.getvalue()


def test_a_line_a_minute_where_there_is_no_terminal() -> None:
    assert told(io.StringIO()).splitlines() == [
        "e5: looking through 2 files",
        "e5: 200 texts, 3.2 texts/s, 32 tokens/s, 20%, 4:08 left",
        "e5: 400 texts, 3.2 texts/s, 32 tokens/s, 40%, 3:06 left",
    ]


def test_a_line_that_changes_on_a_terminal() -> None:
    lines = told(Terminal()).split("\r")
    assert lines[0] == "e5: looking through 2 files\n"
    assert [line.rstrip() for line in lines[1:5]] == [
        f"{100 * step} texts, 3.2 texts/s, 32 tokens/s, {step}0%, {left} left"
        for step, left in enumerate(["4:39", "4:08", "3:37", "3:06"], 1)
    ]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_silence(stream: io.StringIO) -> None:
    assert told(stream, shown=False) == ""


def test_a_runs_model_is_opened_as_quickly_as_any(
    tiny_folder: Path, job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pinned fingerprint would hash every byte of the weights, and take the large tokenizer.
    monkeypatch.setattr(ModelFolder, "check_everything", lambda _: pytest.fail("all of it was hashed"))
    with open_bulk_model(job(tmp_path / "in.txt")) as model, Embedder(tiny_folder) as other:
        assert model.tokenizer == other.tokenizer


def test_an_engine_elsewhere_learns_which_model_the_run_was_planned_with(
    job: Callable[..., Job], tmp_path: Path, tiny_model: Embedder
) -> None:
    planned = []

    def engine(work: Work, shards: Iterable[Shard], tell: Tell) -> Iterator[Receipt]:
        planned.append(work.fingerprint)
        return embed_here(work, shards, tell)

    run_bulk(job(write("jsonl", tmp_path, rows(3)), columns=Columns("text", "doc")), engine=engine)
    assert planned == [tiny_model.fingerprint]
