"""Every format into every output: rows whole, in order, with the vectors that the model gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_inputs import WRITERS, contents, read_columns, read_rejects, read_vectors, rows, write

from e5_onnx import Embedder
from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.run import Summary, run_bulk
from e5_onnx.bulk_job import VECTOR_TYPES, Columns, Job

ROWS = 137
# What rounding a component of a vector of length 1 may cost: float16's eleven bits, int8's half a step.
TOLERANCE = {"float32": 1e-6, "float16": 5e-4, "int8": 4e-3}


@pytest.fixture(scope="module")
def expected(tiny_model: Embedder) -> np.ndarray:
    return tiny_model.embed_documents([row["text"] for row in rows(ROWS)])


@pytest.mark.parametrize("vectors", VECTOR_TYPES)
@pytest.mark.parametrize("output", ["out", "out.npy"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_into_every_output(
    kind: str,
    output: str,
    vectors: str,
    *,
    tmp_path: Path,
    job: Callable[..., Job],
    expected: np.ndarray,
) -> None:
    columns = Columns() if kind.startswith("txt") else Columns("text", "doc", ("year", "text"))
    path = write(kind, tmp_path, rows(ROWS))
    done = run_bulk(job(path, output=tmp_path / output, vectors=vectors, columns=columns))
    assert done == Summary(ROWS, ROWS, 0, 0, 0)
    found = read_vectors(tmp_path / output)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[vectors])
    beside = read_columns(tmp_path / output)
    if kind.startswith("txt"):
        assert beside == {"id": list(range(ROWS))}
    else:
        assert beside["id"] == [row["doc"] for row in rows(ROWS)]
        assert beside["year"] == [row["year"] for row in rows(ROWS)]
        assert beside["text"] == [row["text"] for row in rows(ROWS)]
    assert read_rejects(tmp_path / output) == []


def test_the_types_of_vectors(tmp_path: Path, job: Callable[..., Job]) -> None:
    path = write("txt", tmp_path, rows(3))
    for kind, (stored, extra) in {
        "float32": (pa.float32(), []),
        "float16": (pa.float16(), []),
        "int8": (pa.int8(), ["scale"]),
    }.items():
        run_bulk(job(path, output=tmp_path / kind, vectors=kind))
        schema = pq.read_table(tmp_path / kind).schema
        assert schema.names == ["id", "embedding", *extra]
        assert (schema.field("embedding").type.value_type, schema.field("embedding").type.list_size) == (
            stored,
            32,
        )
        run_bulk(job(path, output=tmp_path / f"{kind}.npy", vectors=kind))
        assert np.load(tmp_path / f"{kind}.npy", mmap_mode="r").dtype == np.dtype(kind)


def test_the_metadata_say_where_vectors_come_from(
    tmp_path: Path, job: Callable[..., Job], tiny_model: Embedder
) -> None:
    path = write("jsonl", tmp_path, rows(3))
    columns = Columns("text", "doc")
    run_bulk(job(path, role="query", task="find", columns=columns, overflow="warn"))
    run_bulk(job(path, role="query", columns=columns, output=tmp_path / "default.npy"))
    found = pq.read_schema(tmp_path / "out" / "part-000000000000.parquet").metadata
    assert {name.decode(): value.decode() for name, value in found.items()} == {
        "e5_onnx.model": tiny_model.manifest.source.name,
        "e5_onnx.fingerprint": tiny_model.fingerprint,
        "e5_onnx.precision": "fp32",
        "e5_onnx.recipe": "e5-instruct",
        "e5_onnx.role": "query",
        "e5_onnx.task": "find",
        "e5_onnx.overflow": "truncate",
        "e5_onnx.dimension": "32",
        "e5_onnx.vectors": "float32",
        "e5_onnx.id_column": "doc",
    }
    beside = pq.read_schema(tmp_path / "default.ids.parquet").metadata
    assert beside[b"e5_onnx.task"].decode() == tiny_model.manifest.recipe.default_task


def test_files_of_several_formats_are_one_input(
    tmp_path: Path, job: Callable[..., Job], expected: np.ndarray
) -> None:
    kinds = ["parquet", "jsonl.gz", "csv", "arrow"]
    parts = [
        write(kind, tmp_path, rows(ROWS)[n * 30 : (n + 1) * 30], name=f"p{n}") for n, kind in enumerate(kinds)
    ]
    empty = write("jsonl", tmp_path, [], name="empty")
    inputs = tuple(map(str, [*parts[:2], empty, *parts[2:]]))
    run_bulk(job(parts[0], inputs=inputs, columns=Columns("text", "doc"), shard_rows=37))
    assert read_columns(tmp_path / "out") == {"id": [row["doc"] for row in rows(120)]}
    np.testing.assert_allclose(read_vectors(tmp_path / "out"), expected[:120], atol=1e-6)


EMPTY = {
    "parquet": None,
    "feather": None,
    "arrow": None,
    "csv": b"doc,text,year\n",
    "csv without a byte": b"",
    "jsonl": b"",
    "jsonl.gz": b"",
    "txt": b"",
    "txt.zst": b"",
}


@pytest.mark.parametrize("output", ["out", "out.npy"])
@pytest.mark.parametrize("name", EMPTY)
def test_nothing_in_gives_nothing_of_the_right_kind(
    name: str, output: str, tmp_path: Path, job: Callable[..., Job]
) -> None:
    kind = name.split()[0]
    path = write(kind, tmp_path, [])
    content = EMPTY[name]
    if content is not None and path.suffix not in (".gz", ".zst"):
        path.write_bytes(content)
    assert run_bulk(job(path, output=tmp_path / output)) == Summary(0, 0, 0, 0, 0)
    if output == "out":
        found = pq.read_table(tmp_path / "out")
        assert (found.num_rows, found.schema.field("embedding").type.list_size) == (0, 32)
    else:
        assert np.load(tmp_path / output).shape == (0, 32)


def test_shards_of_any_size_hold_the_same_rows(tmp_path: Path, job: Callable[..., Job]) -> None:
    path = write("parquet", tmp_path, rows(ROWS))
    found = []
    for size in (1000, 137, 50, 7):
        output = tmp_path / f"by-{size}"
        run_bulk(job(path, output=output, shard_rows=size, columns=Columns("text", "doc")))
        assert len(list(output.glob("*.parquet"))) == -(-ROWS // size)
        found.append((read_columns(output), read_vectors(output)))
    for columns, vectors in found[1:]:
        assert columns == found[0][0]
        np.testing.assert_allclose(vectors, found[0][1], atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_bytes(
    threads: int, tmp_path: Path, job: Callable[..., Job]
) -> None:
    path = write("jsonl", tmp_path, rows(1100))
    run_bulk(job(path, output=tmp_path / "one", threads=1, shard_rows=1000))
    run_bulk(job(path, output=tmp_path / "more", threads=threads, shard_rows=1000))
    assert contents(tmp_path / "one") == contents(tmp_path / "more")


UNREADABLE = {
    "in.parquet": (b"", "it is damaged, or not what its name says: "),
    "junk.parquet": (b"PAR1 and then nothing", "Parquet"),
    "in.arrow": (b"", "it is damaged, or not what its name says: "),
    "junk.feather": (b"ARROW1 and then nothing", "it is damaged, or not what its name says: "),
    "in.jsonl.gz": (b'{"text": "a"}\n', "Not a gzipped file"),
    "cut.txt.gz": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "it is damaged, or not what its name says: "),
    "in.txt.zst": (b"moon\n", "ZSTD decompress failed"),
    "in.csv": (b'"a\n', "its first row, which names the columns: not CSV: unexpected end of data"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_damaged_file_is_named_before_any_work(name: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    data, message = UNREADABLE[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputFileError, match=message) as caught:
        run_bulk(job(tmp_path / name))
    assert caught.value.source == str(tmp_path / name)
    assert not list((tmp_path / "out").glob("*.parquet"))
