"""Semantic search in Qdrant, in local mode: `python docs/examples/qdrant_search.py e5-large vectors.qdrant`.

With QdrantClient(url=...) instead of path=... the same code talks to a server.
"""

from __future__ import annotations

import sys

from e5_onnx import Embedder  # first: qdrant_client may import onnxruntime, whose telemetry is on by default

# isort: split
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams
from texts import DOCUMENTS


def open_collection(client: QdrantClient, model: Embedder) -> str:
    """The collection of this model: another model's vectors are in another one."""
    name = f"documents-{model.fingerprint[:16]}"
    if not client.collection_exists(name):
        client.create_collection(name, VectorParams(size=model.dimension, distance=Distance.COSINE))
    return name


def add(client: QdrantClient, model: Embedder, documents: list[str]) -> None:
    """Embeds documents and stores them; the same id again replaces what was there."""
    vectors = model.embed_documents(documents)
    points = [
        PointStruct(id=number, vector=vector.tolist(), payload={"text": text})
        for number, (text, vector) in enumerate(zip(documents, vectors, strict=True))
    ]
    client.upsert(open_collection(client, model), points)


def search(client: QdrantClient, model: Embedder, query: str, *, top: int = 3) -> list[tuple[str, float]]:
    """Text and score of the best documents."""
    vector = model.embed_queries(query).tolist()
    found = client.query_points(open_collection(client, model), query=vector, limit=top).points
    return [(point.payload["text"], point.score) for point in found]


if __name__ == "__main__":
    with Embedder(sys.argv[1]) as opened:
        qdrant = QdrantClient(path=sys.argv[2])
        add(qdrant, opened, DOCUMENTS)
        for text, score in search(qdrant, opened, "How deep is the sea?"):
            print(f"{score:.3f}  {text}")
        qdrant.close()
