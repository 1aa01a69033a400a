"""Which files are read, and which columns of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_inputs import read_columns, read_rejects, rows, write

from e5_onnx.bulk.chunks import ChunkReader
from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.formats import survey
from e5_onnx.bulk.plan import ShardPlan
from e5_onnx.bulk.run import run_bulk
from e5_onnx.bulk.survey import look_through
from e5_onnx.bulk_job import Columns, Job
from e5_onnx.cli import main
from e5_onnx.text_input.text_files import FILE_FORMATS, FileFormat, find_files, recognise_format

ENDINGS = {
    "a.CSV": ("csv", "none"),
    "a.Tsv": ("tsv", "none"),
    "a.tsv.GZ": ("tsv", "gzip"),
    "a.NDJSON.zst": ("jsonl", "zstd"),
    "a.ndjson": ("jsonl", "none"),
    "A.JSONL": ("jsonl", "none"),
    "a.Parquet": ("parquet", "none"),
    "a.b.txt": ("txt", "none"),
    "a.parquet.gz": None,
    "a.json": None,
    "a.gz": None,
    "csv": None,
}


@pytest.mark.parametrize("name", ENDINGS)
def test_endings(name: str) -> None:
    found = recognise_format(Path(name))
    assert (None if found is None else (found.format.name, found.compression)) == ENDINGS[name]


def test_a_folder_tells_what_is_left_out(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "deep").mkdir(parents=True)
    write("csv", tmp_path / "data", rows(2), name="a").rename(tmp_path / "data" / "a.CSV")
    write("jsonl", tmp_path / "data" / "deep", rows(3), name="b").rename(
        tmp_path / "data" / "deep" / "b.ndjson"
    )
    for name in ("README.md", "NOTES.MD", "deep/notes.md", "LICENSE", "_SUCCESS", ".a.crc", "x.json"):
        (tmp_path / "data" / name).touch()
    assert find_files(["data"]).left_out == {".md": 3, "without an ending": 1, ".json": 1}
    assert main(["bulk", str(tiny_folder), "data", "--role", "raw", "--output", "out"]) == 0
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("e5: 5 rows, 5 vectors, left out: 1 .json, 3 .md, 1 without an ending; ")


@pytest.fixture
def hive(tmp_path: Path) -> Path:
    """A folder of partitions, whose columns are in the paths only."""
    for number, (year, lang) in enumerate(
        [("2024", "de"), ("2025", "pt%2FBR"), ("2025", "__HIVE_DEFAULT_PARTITION__")]
    ):
        folder = tmp_path / "hive" / f"year={year}" / f"lang={lang}"
        folder.mkdir(parents=True)
        kind = ("parquet", "csv", "txt")[number]
        write(kind, folder, rows(2), name="part")
    return tmp_path / "hive"


def test_columns_of_partitions(hive: Path, job: Callable[..., Job], tmp_path: Path) -> None:
    run_bulk(job(hive, columns=Columns(keep=("year", "lang"))))
    found = read_columns(tmp_path / "out")
    assert found["year"] == [2024, 2024, 2025, 2025, 2025, 2025]
    assert found["lang"] == ["de", "de", None, None, "pt/BR", "pt/BR"]


def test_columns_of_partitions_and_of_files(hive: Path, job: Callable[..., Job], tmp_path: Path) -> None:
    (hive / "year=2025" / "lang=__HIVE_DEFAULT_PARTITION__" / "part.txt").unlink()
    for _ in range(2):
        run_bulk(job(hive, columns=Columns("text", "doc", ("text", "year")), shard_rows=1))
        found = read_columns(tmp_path / "out")
        (tmp_path / "out" / "part-000000000001.parquet").unlink()
    assert found == {
        "id": ["d0", "d1"] * 2,
        "text": [row["text"] for row in rows(2)] * 2,
        "year": [2024, 2024, 2025, 2025],
    }


def test_a_missing_partition_is_named(hive: Path, job: Callable[..., Job]) -> None:
    with pytest.raises(InputFileError, match=r"it has no column 'month' \(`keep`\); it has 'doc'"):
        run_bulk(job(hive, columns=Columns(keep=("month",))))


NESTED = [
    {"meta": {"id": 1, "body": {"text": "moon", "lang": "en"}}, "a.b": "x"},
    {"meta": {"id": 2, "body": {"text": "tea", "lang": None}}, "a.b": "y"},
    {"meta": None, "a.b": "z"},
]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow"])
def test_columns_inside_of_others(kind: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    path = tmp_path / f"in.{kind}"
    table = pa.Table.from_pylist(NESTED)
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in NESTED), "utf-8")
    elif kind == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(str(path), table.schema) as stream:
            stream.write_table(table)
    run_bulk(job(path, columns=Columns("meta.body.text", "meta.id", ("meta.body.lang", "a.b"))))
    assert read_columns(tmp_path / "out") == {"id": [1, 2], "meta.body.lang": ["en", None], "a.b": ["x", "y"]}
    assert [reject["row"] for reject in read_rejects(tmp_path / "out")] == [2]


def test_names_inside_of_others_are_shown(tmp_path: Path, job: Callable[..., Job]) -> None:
    pq.write_table(pa.Table.from_pylist(NESTED), tmp_path / "in.parquet")
    message = r"no column 'text' \(`text_column`\); it has 'meta', 'meta.id', 'meta.body', 'meta.body.text'"
    with pytest.raises(InputFileError, match=message):
        run_bulk(job(tmp_path / "in.parquet"))


def test_names_with_commas_are_kept(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = {"text": "moon", "price, EUR": 2.5, 'a "b"': 1, "n": 3}
    Path("in.jsonl").write_text(json.dumps(record), "utf-8")
    keep = '"price, EUR", "a ""b""", n'
    words = ["bulk", str(tiny_folder), "in.jsonl", "--role", "raw", "--output", "out", "--keep", keep]
    assert main(words) == 0
    assert read_columns(Path("out")) == {"id": [0], "price, EUR": [2.5], 'a "b"': [1], "n": [3]}


def test_the_delimiter_by_the_command(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("text,a\tn\nmoon,b\t1\n", "utf-8")
    words = ["bulk", str(tiny_folder), "in.csv", "--role", "raw", "--text-column", "text,a", "--keep", "n"]
    for number, name in enumerate(["tab", "\\t", "\t"]):
        assert main([*words, "--delimiter", name, "--output", f"out-{number}"]) == 0
        assert read_columns(Path(f"out-{number}"))["n"] == [1]


@pytest.mark.parametrize("output", ["out/v1.2", "v1.2/", "out.csv/", "out.parquet", "out"])
def test_names_of_folders(
    output: str, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("txt", tmp_path, rows(2))
    assert main(["bulk", str(tiny_folder), "in.txt", "--role", "raw", "--output", output]) == 0
    assert pq.read_table(output).num_rows == 2


def widths() -> dict[str, tuple[list[pa.Array], list[Any]]]:
    return {
        "whole numbers": ([pa.array([1], pa.int32()), pa.array([2**40], pa.int64())], [1, 2**40]),
        "without and with a sign": ([pa.array([200], pa.uint8()), pa.array([-1], pa.int8())], [200, -1]),
        "floats": ([pa.array([0.5], pa.float32()), pa.array([0.1], pa.float64())], [0.5, 0.1]),
    }


@pytest.mark.parametrize("name", widths())
def test_widths_of_numbers_are_unified(name: str, tmp_path: Path, job: Callable[..., Job]) -> None:
    arrays, values = widths()[name]
    paths = []
    for number, array in enumerate(arrays):
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.table({"text": ["moon"], "doc": array}), paths[-1])
    run_bulk(job(paths[0], inputs=tuple(map(str, paths)), columns=Columns("text", "doc")))
    assert read_columns(tmp_path / "out")["id"] == values


def test_types_that_do_not_go_together_are_named(tmp_path: Path, job: Callable[..., Job]) -> None:
    for name, array in {"a": pa.array([1]), "b": pa.array(["x"])}.items():
        pq.write_table(pa.table({"text": ["moon"], "doc": array}), tmp_path / f"{name}.parquet")
    inputs = (str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet"))
    message = r"b.parquet: column 'doc' is string, in .*a.parquet it is int64: make them alike"
    with pytest.raises(InputFileError, match=message):
        run_bulk(job(tmp_path / "a.parquet", inputs=inputs, columns=Columns("text", "doc")))


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "txt"])
def test_a_file_that_is_changed_while_it_is_read_is_refused(kind: str, tmp_path: Path) -> None:
    """Rows of two states of a file must not end in one output."""
    file = write(kind, tmp_path, rows(1000))
    (found,) = find_files([str(file)]).files
    survey = look_through([found], Columns("text"))
    chunks = ChunkReader(survey, Columns("text"), "reject").chunks(ShardPlan(survey.rows, 100).missing({}))
    next(chunks)
    file.write_bytes(file.read_bytes().replace(b"moon", b"mood"))
    with pytest.raises(InputFileError, match="it was changed while the run read it: run again once"):
        list(chunks)


@pytest.mark.parametrize("row", FILE_FORMATS, ids=lambda row: row.name)
def test_every_format_has_a_reader(row: FileFormat, tmp_path: Path) -> None:
    for ending in row.endings:
        file = recognise_format(tmp_path / f"a{ending}")
        assert file is not None
        with pytest.raises(FileNotFoundError):
            survey(file, Columns())
