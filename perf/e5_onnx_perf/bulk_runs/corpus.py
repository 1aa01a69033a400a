"""A corpus of short real texts, as large as is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx_perf.speed.texts import text_maker

_ROWS_AT_ONCE: Final = 20_000
COLUMNS: Final = pa.schema([("doc", pa.string()), ("text", pa.string())])


def write_corpus(file: Path, rows: int, *, model: Path, data: Path | None) -> None:
    """Writes a Parquet file of `doc`, an id of each row, and `text`, sentences repeated as often as needed.

    Args:
        file: To be written.
        rows: How many.
        model: A model folder, whose vocabulary words are drawn from where there is no data.
        data: A folder that holds tatoeba/, or None for seeded words.

    Raises:
        DataError: If a file of the data is missing, damaged or malformed.
    """
    sentences = itertools.cycle(text_maker(model / TOKENIZER_NAME, data).sentences)
    with pq.ParquetWriter(file, COLUMNS) as writer:
        for start in range(0, rows, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, rows - start)
            ids = [f"d{number}" for number in range(start, start + count)]
            texts = list(itertools.islice(sentences, count))
            writer.write_table(pa.table([ids, texts], schema=COLUMNS))


def read_texts(file: Path, rows: int) -> list[str]:
    """The texts of the first rows."""
    return list(itertools.islice(_texts(file), rows))


def _texts(file: Path) -> Iterator[str]:
    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(columns=["text"]):
            yield from batch.column(0).to_pylist()
