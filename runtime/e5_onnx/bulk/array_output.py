"""All parts as one `.npy` file, with the ids beside it: row i is row i of the input."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk_job import EMBEDDING
from e5_onnx.machine.atomic_file import atomic_file
from e5_onnx.model_folder.digest import file_sha256

_ROWS: Final = 4096


def write_array(layout: OutputLayout, receipts: Sequence[Receipt]) -> None:
    """Writes the array and the file of ids, of the parts in order.

    Raises:
        OSError: If they cannot be written; the parts are still there.
    """
    parts = [layout.part(receipt.first) for receipt in receipts]
    schema = pq.read_schema(parts[0])
    vector = schema.field(EMBEDDING).type
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(vector.value_type.to_pandas_dtype())),
        "fortran_order": False,
        "shape": (sum(receipt.rows for receipt in receipts), vector.list_size),
    }
    with atomic_file(layout.ids, workplace=layout.partial) as file:
        ids = schema.remove(schema.get_field_index(EMBEDDING))
        with closing(pq.ParquetWriter(file, ids, compression="zstd")) as writer:
            for batch in _batches(layout, receipts):
                writer.write_batch(batch.drop_columns([EMBEDDING]))
    with atomic_file(layout.output, workplace=layout.partial) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for batch in _batches(layout, receipts):
            file.write(_components(batch.column(EMBEDDING)).tobytes())
    with atomic_file(layout.done, workplace=layout.partial) as file:
        file.write(json.dumps(_hashes(layout)).encode())


def is_finished(layout: OutputLayout) -> bool:
    """Whether the array and its ids are there as they were written; False for a data set."""
    try:
        return layout.is_array and json.loads(layout.done.read_text("utf-8")) == _hashes(layout)
    except (FileNotFoundError, ValueError):
        return False


def _hashes(layout: OutputLayout) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in (layout.output, layout.ids)}


def _batches(layout: OutputLayout, receipts: Iterable[Receipt]) -> Iterator[pa.RecordBatch]:
    for receipt in receipts:
        with pq.ParquetFile(layout.part(receipt.first)) as part:
            yield from part.iter_batches(_ROWS)


def _components(column: pa.Array) -> NDArray[Any]:
    """Vectors as an array; a bad row, which has none, is NaN, or 0 where numbers have no NaN."""
    present: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    none = np.nan if np.issubdtype(present.dtype, np.floating) else 0
    rows = np.full((len(column), column.type.list_size), none, present.dtype)
    rows[column.is_valid().to_numpy(zero_copy_only=False)] = present.reshape(-1, column.type.list_size)
    return rows
