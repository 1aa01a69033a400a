"""Semantic search in DuckDB, on the Parquet data set that `e5 bulk` writes.

    e5 bulk e5-large documents.jsonl --role document --keep text --output vectors
    python docs/examples/duckdb_search.py e5-large vectors 'How deep is the sea?'

Vectors have length 1, so their inner product is their cosine. DuckDB goes through all of them; its extension
`vss` adds an index where that takes too long.
"""

from __future__ import annotations

import sys

import duckdb

from e5_onnx import Embedder

SEARCH = """
    SELECT id, text,
      array_inner_product(embedding::FLOAT[{dimension}], $query::FLOAT[{dimension}]) AS score
    FROM read_parquet($parts) ORDER BY score DESC LIMIT $top
"""
FINGERPRINTS = """
    SELECT DISTINCT value::VARCHAR FROM parquet_kv_metadata($parts) WHERE key = 'e5_onnx.fingerprint'
"""


def search(model: Embedder, folder: str, query: str, *, top: int = 3) -> list[tuple[int, str, float]]:
    """Id, text and score of the best documents."""
    parts = f"{folder}/*.parquet"
    with duckdb.connect() as database:
        held = database.execute(FINGERPRINTS, {"parts": parts}).fetchall()
        if held != [(model.fingerprint,)]:
            raise SystemExit(f"{folder} was embedded with {held}, not with {model.fingerprint}")
        values = {"query": model.embed_queries(query).tolist(), "parts": parts, "top": top}
        return database.execute(SEARCH.format(dimension=model.dimension), values).fetchall()


if __name__ == "__main__":
    with Embedder(sys.argv[1]) as opened:
        for number, text, score in search(opened, sys.argv[2], sys.argv[3]):
            print(f"{score:.3f}  {number}  {text}")
