"""Semantic search in PostgreSQL with pgvector: `python docs/examples/pgvector_search.py e5-large DSN`.

On Debian the server is in the packages `postgresql` and `postgresql-VERSION-pgvector`; DSN is such as
`postgresql://user@localhost/database`.
"""

from __future__ import annotations

import sys

import psycopg
from pgvector.psycopg import register_vector
from psycopg.sql import SQL, Literal
from texts import DOCUMENTS

from e5_onnx import Embedder

TABLE = "CREATE TABLE documents (id bigint PRIMARY KEY, text text NOT NULL, embedding vector({}) NOT NULL)"
INDEX = "CREATE INDEX ON documents USING hnsw (embedding vector_ip_ops)"
ADD = "INSERT INTO documents VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET (text, embedding) = (%s, %s)"
# <#> is the negative inner product: of vectors of length 1, the negative cosine.
SEARCH = "SELECT text, -(embedding <#> %s) FROM documents ORDER BY embedding <#> %s LIMIT %s"


def prepare(connection: psycopg.Connection, model: Embedder) -> None:
    """Makes the table, whose comment is the fingerprint of the model that fills it, or checks it."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    (held,) = connection.execute("SELECT obj_description(to_regclass('documents'))").fetchone() or (None,)
    if held is None:
        connection.execute(SQL(TABLE).format(Literal(model.dimension)))
        connection.execute(INDEX)
        connection.execute(SQL("COMMENT ON TABLE documents IS {}").format(Literal(model.fingerprint)))
    elif held != model.fingerprint:
        raise SystemExit(f"the table holds vectors of {held}, not of {model.fingerprint}")


def add(connection: psycopg.Connection, model: Embedder, documents: list[str]) -> None:
    """Embeds documents and stores them."""
    for number, (text, vector) in enumerate(zip(documents, model.embed_documents(documents), strict=True)):
        connection.execute(ADD, (number, text, vector, text, vector))


def search(
    connection: psycopg.Connection, model: Embedder, query: str, *, top: int = 3
) -> list[tuple[str, float]]:
    """Text and score of the best documents."""
    vector = model.embed_queries(query)
    return connection.execute(SEARCH, (vector, vector, top)).fetchall()


if __name__ == "__main__":
    with Embedder(sys.argv[1]) as opened, psycopg.connect(sys.argv[2]) as database:
        prepare(database, opened)
        add(database, opened, DOCUMENTS)
        for text, score in search(database, opened, "How deep is the sea?"):
            print(f"{score:.3f}  {text}")
