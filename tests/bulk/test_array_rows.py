"""In an array row i is row i of the input, and what has no text is no text in every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_inputs import WRITERS, read_columns, read_rejects, read_vectors, rows, write, write_compressed

from e5_onnx import Embedder
from e5_onnx.bulk.run import Summary, run_bulk
from e5_onnx.bulk_job import VECTOR_TYPES, Columns, Job
from e5_onnx.cli import main

NOTHING = ["", " ", "\t \u3000", "\u00a0"]


def with_blanks(count: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Rows of which some have no text, and the numbers of those."""
    records = rows(count)
    bad = [number for number in range(count) if number % 7 == 3 or 20 <= number < 40]
    for number in bad:
        records[number]["text"] = NOTHING[number % len(NOTHING)]
    return records, bad


@pytest.mark.parametrize("output", ["out", "out.npy"])
@pytest.mark.parametrize("kind", WRITERS)
def test_an_empty_or_blank_text_is_no_text(
    kind: str, output: str, *, tmp_path: Path, job: Callable[..., Job], tiny_model: Embedder
) -> None:
    records, bad = with_blanks(100)
    done = run_bulk(job(write(kind, tmp_path, records), output=tmp_path / output))
    assert done == Summary(rows=100, written=100 - len(bad), rejected=len(bad), truncated=0, done_before=0)
    rejects = read_rejects(tmp_path / output)
    assert [(row["row"], row["id"], row["reason"]) for row in rejects] == [
        (number, number, "the text is empty or blank") for number in bad
    ]
    found = read_vectors(tmp_path / output)
    good = [number for number in range(100) if number not in bad]
    expected = tiny_model.embed_documents([records[number]["text"] for number in good])
    if output == "out.npy":
        assert read_columns(tmp_path / output)["id"] == list(range(100))
        assert np.isnan(found[bad]).all()
        found = found[good]
    else:
        assert read_columns(tmp_path / output)["id"] == good
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("vectors", VECTOR_TYPES)
def test_a_row_without_a_vector(vectors: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    path = write("jsonl", tmp_path, [{"text": "moon"}, {"text": None}, {"text": "tea"}])
    run_bulk(job(path, output=tmp_path / "out.npy", vectors=vectors))
    found = np.load(tmp_path / "out.npy")
    assert found.dtype == np.dtype(vectors)
    ids = pq.read_table(tmp_path / "out.ids.parquet")
    if vectors == "int8":
        assert found[1].tolist() == [0] * 32
        assert ids.column("scale").is_valid().to_pylist() == [True, False, True]
    else:
        assert np.isnan(found[1]).all()
    assert np.abs(found[[0, 2]].astype(np.float32)).max(axis=1).min() > 0


def test_an_array_of_bad_rows_alone(tmp_path: Path, job: Callable[..., Job]) -> None:
    run_bulk(job(write("txt", tmp_path, [{"text": ""}] * 3), output=tmp_path / "out.npy"))
    assert np.load(tmp_path / "out.npy").shape == (3, 32)
    assert np.isnan(np.load(tmp_path / "out.npy")).all()


BAD_ROWS = {
    "in.jsonl": (
        b'{"doc": 1, "text": "moon", "n": 5}\nnot JSON\n{"doc": 3, "n": 7}\n{"text": "tea", "n": 8}\n',
        {"id": [1, None, 3, None], "n": [5, None, 7, 8]},
    ),
    "in.csv": (
        b"doc,text,n\n1,moon,5\n2,a,b,6\n3,,7\n,tea,8\n",
        {"id": [1, 2, 3, None], "n": [5, None, 7, 8]},
    ),
    "in.parquet": (
        pa.table({
            "doc": pa.array([1, 2, 3, None], pa.int64()),
            "text": ["moon", None, " ", "tea"],
            "n": [5, 6, 7, 8],
        }),
        {"id": [1, 2, 3, None], "n": [5, 6, 7, 8]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ROWS)
def test_ids_lie_beside_their_rows(name: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    data, expected = BAD_ROWS[name]
    if isinstance(data, bytes):
        (tmp_path / name).write_bytes(data)
    else:
        pq.write_table(data, tmp_path / name)
    run_bulk(job(tmp_path / name, output=tmp_path / "out.npy", columns=Columns("text", "doc", ("n",))))
    assert read_columns(tmp_path / "out.npy") == expected
    assert np.isnan(np.load(tmp_path / "out.npy")).any(axis=1).tolist() == [False, True, True, True]


def test_a_text_that_is_too_long_keeps_its_row(tmp_path: Path, job: Callable[..., Job]) -> None:
    path = write("jsonl", tmp_path, [{"text": "moon"}, {"text": "moon " * 400}, {"text": "tea"}])
    run_bulk(job(path, output=tmp_path / "out.npy", overflow="error"))
    assert np.isnan(np.load(tmp_path / "out.npy"))[:, 0].tolist() == [False, True, False]
    assert [row["id"] for row in read_rejects(tmp_path / "out.npy")] == [1]


@pytest.mark.parametrize("shard_rows", [1, 3, 40, 1000])
def test_rows_stay_in_place_over_shards(
    shard_rows: int, tmp_path: Path, job: Callable[..., Job], tiny_model: Embedder
) -> None:
    records, bad = with_blanks(90)
    run_bulk(job(write("csv", tmp_path, records), output=tmp_path / "out.npy", shard_rows=shard_rows))
    found = np.load(tmp_path / "out.npy")
    good = [number for number in range(90) if number not in bad]
    np.testing.assert_allclose(
        found[good], tiny_model.embed_documents([records[n]["text"] for n in good]), atol=1e-6
    )
    assert np.isnan(found).any(axis=1).nonzero()[0].tolist() == bad


def test_the_command_says_it(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_compressed(Path("in.txt.gz"), b"moon\n\xff\n\ntea\n")
    assert main(["bulk", str(tiny_folder), "in.txt.gz", "--role", "raw", "--output", "out.npy"]) == 0
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(
        "e5: 4 rows, 2 vectors, 2 rejected (rows without a vector in out.npy), see out.npy.e5"
    )
