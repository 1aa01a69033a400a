"""The same rows in every format that bulk runs read."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from e5_onnx.bulk.layout import OutputLayout

WORDS = ("moon", "the city is red", "?", "tea\u2028house", "東京", "bread and water", "quiet sea", "Mond")


def rows(count: int) -> list[dict[str, Any]]:
    """Texts of many lengths and scripts, ids that are no numbers, and a column to keep."""
    return [
        {
            "doc": f"d{number}",
            "text": " ".join([WORDS[number % 8]] * (1 + number % 5)),
            "year": f"in {1900 + number}",
        }
        for number in range(count)
    ]


def table(records: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(
        list(records), pa.schema([(name, pa.string()) for name in ("doc", "text", "year")])
    )


def _parquet(records: Sequence[dict[str, Any]], path: Path) -> None:
    pq.write_table(table(records), path, row_group_size=50)


def _feather(records: Sequence[dict[str, Any]], path: Path) -> None:
    with pa.ipc.new_file(
        str(path), table(records).schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
    ) as file:
        file.write_table(table(records), max_chunksize=70)


def _arrow(records: Sequence[dict[str, Any]], path: Path) -> None:
    with pa.ipc.new_stream(str(path), table(records).schema) as stream:
        stream.write_table(table(records), max_chunksize=70)


def _csv(records: Sequence[dict[str, Any]], path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["year", "text", "doc"])
    writer.writeheader()
    writer.writerows(records)
    write_compressed(path, text.getvalue().encode())


def _jsonl(records: Sequence[dict[str, Any]], path: Path) -> None:
    write_compressed(path, "".join(json.dumps(record) + "\n" for record in records).encode())


def _txt(records: Sequence[dict[str, Any]], path: Path) -> None:
    write_compressed(path, "".join(record["text"] + "\n" for record in records).encode())


def write_compressed(path: Path, data: bytes) -> None:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(data))
    elif path.suffix == ".zst":
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(data)
    else:
        path.write_bytes(data)


WRITERS: dict[str, Callable[[Sequence[dict[str, Any]], Path], None]] = {
    "parquet": _parquet,
    "feather": _feather,
    "arrow": _arrow,
    **{f"csv{ending}": _csv for ending in ("", ".gz", ".zst")},
    **{f"jsonl{ending}": _jsonl for ending in ("", ".gz", ".zst")},
    **{f"txt{ending}": _txt for ending in ("", ".gz", ".zst")},
}


def write(kind: str, folder: Path, records: Sequence[dict[str, Any]], *, name: str = "in") -> Path:
    """Writes rows as a file of a kind and returns its path."""
    path = folder / f"{name}.{kind}"
    WRITERS[kind](records, path)
    return path


def read_vectors(output: Path) -> np.ndarray:
    """The vectors of an output, as float32."""
    if output.suffix == ".npy":
        found = np.load(output).astype(np.float32)
        beside = pq.read_table(output.with_suffix(".ids.parquet"))
    else:
        beside = pq.read_table(output)
        column = beside.column("embedding").combine_chunks()
        found = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1).astype(np.float32)
    if "scale" in beside.column_names:
        found *= beside.column("scale").to_numpy()[:, None]
    return found


def read_columns(output: Path) -> dict[str, list[Any]]:
    """Everything in an output but its vectors."""
    found = pq.read_table(output.with_suffix(".ids.parquet") if output.suffix == ".npy" else output)
    return {
        name: found.column(name).to_pylist()
        for name in found.column_names
        if name not in ("embedding", "scale")
    }


def read_rejects(output: Path) -> list[dict[str, Any]]:
    """The bad rows, each as rejects.jsonl has it."""
    return [json.loads(line) for line in OutputLayout(output).rejects.read_text("utf-8").splitlines()]


def contents(output: Path) -> dict[str, bytes]:
    """Every file that a finished run leaves for others to read, by its name."""
    array = [output, output.with_suffix(".ids.parquet")]
    kept = array if output.suffix == ".npy" else sorted(output.glob("*.parquet"))
    return {path.name: path.read_bytes() for path in [*kept, OutputLayout(output).rejects]}
