"""Columns of files that declare no types, and of files that declare different ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_inputs import write

from e5_onnx.bulk.chunks import ChunkReader
from e5_onnx.bulk.errors import InputFileError
from e5_onnx.bulk.plan import ShardPlan
from e5_onnx.bulk.survey import look_through
from e5_onnx.bulk_job import Columns
from e5_onnx.text_input.text_files import find_files, recognise_format

TYPES: dict[str, tuple[list[Any], pa.DataType]] = {
    "whole numbers": ([1, 2, None], pa.int64()),
    "numbers": ([1, 2.5, 2**62], pa.float64()),
    "yes and no": ([True, None], pa.bool_()),
    "strings": (["a", "ö"], pa.string()),
    "nothing": ([None, None], pa.string()),
    "all kinds": ([1, "a", True, None, [1, "ö"], {"b": 2}], pa.string()),
    "too large numbers": ([1, 2**64], pa.string()),
}
AS_STRINGS: dict[str, list[Any]] = {
    "all kinds": ["1", "a", "true", None, '[1, "ö"]', '{"b": 2}'],
    "too large numbers": ["1", str(2**64)],
}


@pytest.mark.parametrize("name", TYPES)
def test_a_column_of_json_has_the_type_of_all_its_values(name: str, tmp_path: Path) -> None:
    values, kind = TYPES[name]
    lines = [json.dumps({"text": "moon", "value": value}) for value in values]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, '{"text": "moon"}', "no JSON"]), "utf-8")
    file = recognise_format(tmp_path / "in.jsonl")
    assert file is not None
    columns = Columns(keep=("value",))
    survey = look_through([file], columns)
    assert survey.beside.field("value").type == kind
    (chunk,) = ChunkReader(survey, columns, "reject").chunks(ShardPlan(survey.rows, 100).missing({}))
    assert chunk.columns.column("value").to_pylist() == [*AS_STRINGS.get(name, values), None, None]
    assert [reject.place.line for reject in chunk.rejects] == [len(values) + 2]


KINDS: dict[str, tuple[Any, list[Any], Any]] = {
    "int64 and JSON numbers": (pa.array([1]), [5], pa.int64()),
    "nothing and strings": (pa.array([None], pa.null()), ["a"], pa.string()),
    "strings and nothing": (pa.array(["a"], pa.large_string()), [None], pa.string()),
    "lists": (pa.array([[1]]), [None], pa.list_(pa.int64())),
    "int32 and JSON numbers": (pa.array([1], pa.int32()), [5], pa.int64()),
    "floats and whole numbers": (pa.array([1.5], pa.float32()), [5], pa.float64()),
    "whole numbers and floats": (
        pa.array([1]),
        [1.5],
        "in.jsonl: column 'value' is double, in .*in.parquet it is int64: make them alike",
    ),
    "the largest whole numbers": (
        pa.array([1], pa.uint64()),
        [5],
        "in.jsonl: column 'value' is int64, in .*in.parquet it is uint64",
    ),
    "numbers and strings": (
        pa.array([1]),
        ["a"],
        "in.jsonl: column 'value' is string, in .*in.parquet it is int64",
    ),
    "bytes": (pa.array([b"a"], pa.large_binary()), [None], pa.binary()),
    "views": (pa.array([b"a"], pa.binary_view()).cast(pa.binary()), [None], pa.binary()),
}


@pytest.mark.parametrize("name", KINDS)
def test_files_agree_on_the_types_of_columns(name: str, tmp_path: Path) -> None:
    array, values, kind = KINDS[name]
    pq.write_table(pa.table({"text": ["moon"] * len(array), "value": array}), tmp_path / "in.parquet")
    write("jsonl", tmp_path, [{"text": "moon", "value": value} for value in values])
    files = find_files([str(tmp_path / "in.parquet"), str(tmp_path / "in.jsonl")]).files
    columns = Columns(keep=("value",))
    if isinstance(kind, str):
        with pytest.raises(InputFileError, match=kind):
            look_through(files, columns)
        return
    survey = look_through(files, columns)
    assert survey.beside.field("value").type == kind
    (chunk,) = ChunkReader(survey, columns, "reject").chunks(ShardPlan(survey.rows, 100).missing({}))
    assert chunk.columns.column("value").to_pylist() == [*array.to_pylist(), *values]
