"""A row that is no text is set aside with its reason, or stops the run; no other row suffers from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_inputs import WRITERS, read_columns, read_rejects, read_vectors, rows, write, write_compressed

from e5_onnx import Embedder, OverflowPolicy
from e5_onnx.bulk.errors import InputFileError, RowError
from e5_onnx.bulk.run import Summary, run_bulk
from e5_onnx.bulk_job import Columns, Job
from e5_onnx.text_input import records

LONG = "moon " * 400


def broken(values: list[bytes | None]) -> pa.Array:
    """Strings that nobody checked, as other programs write them."""
    good = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(good), good.buffers(), good.null_count)


def jsonl(*lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines)


# The bad one stands between two good ones, "moon" with the id a and "tea" with the id c.
LINES: dict[str, tuple[str, bytes, str]] = {
    "not JSON": ("jsonl", b"{text}", "not JSON: Expecting property name"),
    "an array": ("jsonl", b"[1]", "it is list, not a JSON object"),
    "no text": ("jsonl", b'{"doc": "b"}', "it has no field 'text'; it has 'doc': `text_column`"),
    "a null": ("jsonl", b'{"doc": "b", "text": null}', "field 'text' is NoneType, not a string"),
    "a number": ("jsonl", b'{"doc": "b", "text": 5}', "field 'text' is int, not a string"),
    "a null id": ("jsonl", b'{"doc": null, "text": "sea"}', "its id is null"),
    "no id": ("jsonl", b'{"text": "sea"}', "its id is null"),
    "half a character": ("jsonl", b'{"doc": "b", "text": "\xff"}', "byte 22 is not UTF-8; convert the file"),
    "half a pair": ("jsonl", b'{"doc": "b", "text": "\\ud800"}', "a lone surrogate at character 0"),
    "half a pair in the id": ("jsonl", b'{"doc": "\\ud800", "text": "sea"}', "field 'doc': it has a lone"),
    "nested": ("jsonl", b'{"text": ' + b"[" * 100_000, "."),
    "a cell too many": ("csv", b"b,sea,more", "it has 3 cells, the first row has 2"),
    "half a character in a cell": ("csv", b"b,\xff", "column 'text' is not UTF-8"),
    "half a character in the id's": ("csv", b"\xff,sea", "column 'doc' is not UTF-8"),
    "a quote that goes on": ("csv", b'b,"sea"s', "not CSV: ',' expected after '\"'"),
}  # fmt: skip


def between(kind: str, line: bytes) -> bytes:
    good = {
        "jsonl": (b'{"doc": "a", "text": "moon"}', b'{"doc": "c", "text": "tea"}'),
        "csv": (b"doc,text\na,moon", b"c,tea"),
    }[kind]
    return jsonl(good[0], line, good[1])


@pytest.mark.parametrize("policy", ["reject", "stop"])
@pytest.mark.parametrize("compression", ["", ".gz"])
@pytest.mark.parametrize("name", LINES)
def test_a_bad_line(
    name: str,
    compression: str,
    policy: str,
    *,
    tmp_path: Path,
    job: Callable[..., Job],
    tiny_model: Embedder,
) -> None:
    kind, line, message = LINES[name]
    path = tmp_path / f"in.{kind}{compression}"
    write_compressed(path, between(kind, line))
    asked = job(path, columns=Columns("text", "doc"), on_bad_row=policy)
    if policy == "stop":
        with pytest.raises(RowError, match=message) as caught:
            run_bulk(asked)
        assert (caught.value.source, caught.value.row) == (str(path), 1)
        return
    assert run_bulk(asked) == Summary(rows=3, written=2, rejected=1, truncated=0, done_before=0)
    (reject,) = read_rejects(tmp_path / "out")
    assert (reject["file"], reject["row"]) == (str(path), 1)
    assert reject["reason"] in str(RowError(str(path), 1, reject["reason"]))
    assert read_columns(tmp_path / "out") == {"id": ["a", "c"]}
    expected = tiny_model.embed_documents(["moon", "tea"])
    np.testing.assert_allclose(read_vectors(tmp_path / "out"), expected, atol=1e-6)


COLUMNS: dict[str, tuple[dict[str, pa.Array], Any, str]] = {
    "a null": ({"text": pa.array(["moon", None, "tea"])}, "b", "the text is null"),
    "a null in large strings": (
        {"text": pa.array(["moon", None, "tea"], pa.large_string())}, "b", "the text is null"),
    "a null in a dictionary": (
        {"text": pa.array(["moon", None, "tea"]).dictionary_encode()}, "b", "the text is null"),
    "nothing but nulls": ({"text": pa.array([None] * 3)}, "b", "the text is null"),
    "half a character": ({"text": broken([b"moon", b"a\xff", b"tea"])}, "b", "byte 1 is not UTF-8"),
    "half a character in bytes": (
        {"text": pa.array([b"moon", b"a\xff", b"tea"], pa.binary())}, "b", "byte 1 is not UTF-8"),
    "a null id": ({"doc": pa.array(["a", None, "c"])}, None, "its id is null"),
    "half a character in the id": ({"doc": broken([b"a", b"\xff", b"c"])}, None, "column 'doc' is not UTF-8"),
    "half a character in a column": (
        {"kept": broken([b"a", b"\xff", b"c"])}, "b", "column 'kept' is not UTF-8"),
    "a date for an id": (
        {"doc": pa.array([1, 2, 3], pa.date32()), "text": pa.array(["moon", None, "tea"])},
        "1970-01-03",
        "the text is null",
    ),
}  # fmt: skip


@pytest.mark.parametrize("policy", ["reject", "stop"])
@pytest.mark.parametrize("kind", ["parquet", "feather"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_bad_cell(
    name: str, kind: str, policy: str, *, tmp_path: Path, job: Callable[..., Job], tiny_model: Embedder
) -> None:
    columns, shown, message = COLUMNS[name]
    plain = {
        "doc": pa.array(["a", "b", "c"]),
        "text": pa.array(["moon", "sea", "tea"]),
        "kept": pa.array([1, 2, 3]),
    }
    found = pa.table(plain | columns)
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(found, path)
    else:
        with pa.ipc.new_file(str(path), found.schema) as file:
            file.write_table(found)
    asked = job(path, columns=Columns("text", "doc", ("kept",)), on_bad_row=policy)
    if policy == "stop":
        with pytest.raises(RowError, match=message) as caught:
            run_bulk(asked)
        assert caught.value.row == int(name != "nothing but nulls")
        return
    if name == "nothing but nulls":
        assert run_bulk(asked) == Summary(rows=3, written=0, rejected=3, truncated=0, done_before=0)
        return
    assert run_bulk(asked).rejected == 1
    (reject,) = read_rejects(tmp_path / "out")
    assert reject == {"file": str(path), "row": 1, "id": shown, "reason": reject["reason"]}
    assert reject["reason"].startswith(message)
    expected = tiny_model.embed_documents(["moon", "tea"])
    np.testing.assert_allclose(read_vectors(tmp_path / "out"), expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["reject", "stop"])
def test_texts_that_are_too_long_under_error(policy: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    texts = ["moon", LONG, None, "tea", LONG]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    asked = job(tmp_path / "in.parquet", overflow="error", on_bad_row=policy)
    if policy == "stop":
        asked = replace(asked, inputs=(str(write("jsonl", tmp_path, [{"text": "moon"}, {"text": LONG}])),))
        with pytest.raises(RowError, match=r"it has 4\d\d tokens, the model takes 128") as caught:
            run_bulk(asked)
        assert caught.value.row == 1
        return
    assert run_bulk(asked) == Summary(rows=5, written=2, rejected=3, truncated=0, done_before=0)
    assert [(row["row"], row["id"]) for row in read_rejects(tmp_path / "out")] == [(1, 1), (2, 2), (4, 4)]
    assert read_columns(tmp_path / "out") == {"id": [0, 3]}


@pytest.mark.parametrize(("overflow", "cut"), [("warn", 1), ("truncate", 1), ("window", 0), ("error", 0)])
def test_what_becomes_of_long_texts(
    overflow: OverflowPolicy, cut: int, tmp_path: Path, job: Callable[..., Job], tiny_model: Embedder
) -> None:
    texts = ["moon", LONG] if overflow != "error" else ["moon", "tea"]
    done = run_bulk(job(write("jsonl", tmp_path, [{"text": text} for text in texts]), overflow=overflow))
    assert done.truncated == cut
    policy: OverflowPolicy = "truncate" if overflow == "warn" else overflow
    expected = tiny_model.encode(texts, role="document", overflow=policy).vectors
    np.testing.assert_allclose(read_vectors(tmp_path / "out"), expected, atol=1e-6)


@pytest.mark.parametrize("kind", WRITERS)
def test_hundreds_of_bad_rows_among_good_ones(kind: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    """Whole chunks and shards of bad rows too; `.txt` and `.csv` can only be bad in their bytes."""
    bad = {*range(5, 12), *range(50, 650)}
    records = rows(700)
    if kind.split(".")[0] in ("txt", "csv"):
        path = write(kind.split(".")[0], tmp_path, records)
        lines = path.read_bytes().split(b"\n")
        for row in bad:
            # The text follows the first comma of a row, whose names are in the first; a line is all text.
            place = row + 1 if path.suffix == ".csv" else row
            lines[place] = lines[place].replace(b",", b",\xff", 1) if path.suffix == ".csv" else b"\xff"
        path = path.with_name(f"in.{kind}")
        write_compressed(path, b"\n".join(lines))
    else:
        path = write(
            kind,
            tmp_path,
            [record | ({"text": None} if n in bad else {}) for n, record in enumerate(records)],
        )
    done = run_bulk(job(path))
    assert done == Summary(rows=700, written=700 - len(bad), rejected=len(bad), truncated=0, done_before=0)
    assert [row["row"] for row in read_rejects(tmp_path / "out")] == sorted(bad)
    assert read_columns(tmp_path / "out") == {"id": [row for row in range(700) if row not in bad]}


def test_a_line_that_would_fill_the_memory(
    tmp_path: Path, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LONGEST", 100)
    for size in (99, 100, 101, 250, 300):
        text = '{"text": "' + "m" * (size - 12) + '"}'
        for kind in ("txt", "jsonl"):
            (tmp_path / f"in.{kind}").write_text(f'{{"text": "a"}}\n{text}\n{{"text": "a"}}\n{text}', "utf-8")
            output = tmp_path / f"{kind}-{size}"
            run_bulk(job(tmp_path / f"in.{kind}", output=output))
            bad = [row["row"] for row in read_rejects(output)]
            assert bad == ([] if size == 99 else [1, 3]), size


MISSING = {
    "txt": (b"moon\n", "a .txt file has no columns beside its texts, so no 'doc'"),
    "csv": (b"text,id\n", "it has no column 'doc' (`id_column`); it has 'text', 'id'"),
    "csv.gz": (b"text,doc,doc\n", "it has 2 columns 'doc' (`id_column`); it has 'text', 'doc', 'doc'"),
    "parquet": (pa.table({"text": ["moon"]}), "it has no column 'doc' (`id_column`); it has 'text'"),
    "feather": (pa.table({"text": [5], "doc": ["a"]}), "column 'text' holds int64, not texts"),
}


@pytest.mark.parametrize("kind", MISSING)
def test_a_column_that_is_not_there(kind: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    data, message = MISSING[kind]
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(data, path)
    elif kind == "feather":
        with pa.ipc.new_file(str(path), data.schema) as file:
            file.write_table(data)
    else:
        write_compressed(path, data)
    with pytest.raises(InputFileError) as caught:
        run_bulk(job(path, columns=Columns("text", "doc")))
    assert str(caught.value) == f"{path}: {message}"


def test_rejects_are_valid_json_whatever_the_id(tmp_path: Path, job: Callable[..., Job]) -> None:
    values = [1, 2.5, True, "ö", [1], None]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"doc": value, "text": None}) + "\n" for value in values), "utf-8")
    run_bulk(job(path, columns=Columns("text", "doc")))
    shown = [1, 2.5, True, "ö", "[1]", None]
    assert [row["id"] for row in read_rejects(tmp_path / "out")] == shown
    assert {row["reason"] for row in read_rejects(tmp_path / "out")} == {
        "field 'text' is NoneType, not a string"
    }
