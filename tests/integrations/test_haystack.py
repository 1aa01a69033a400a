"""Haystack's own pipelines around the model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration_texts import DOCUMENTS, QUERY

from e5_onnx import Embedder
from e5_onnx.integrations.errors import MixedVectorsError

pytestmark = pytest.mark.reference


def indexing(folder: Path, store: Any) -> Any:
    from haystack import Pipeline
    from haystack.components.writers import DocumentWriter

    from e5_onnx.integrations.haystack import E5DocumentEmbedder

    pipeline = Pipeline()
    pipeline.add_component("embedder", E5DocumentEmbedder(str(folder)))
    pipeline.add_component("writer", DocumentWriter(store))
    pipeline.connect("embedder.documents", "writer.documents")
    return pipeline


def test_roles(tiny_folder: Path, model: Embedder) -> None:
    from haystack import Document

    from e5_onnx.integrations.haystack import E5DocumentEmbedder, E5TextEmbedder

    given = [Document(content=text, meta={"title": "T", "none": None}) for text in DOCUMENTS]
    done = E5DocumentEmbedder(str(tiny_folder)).run(given)
    vectors = [document.embedding for document in done["documents"]]
    np.testing.assert_allclose(vectors, model.embed_documents(DOCUMENTS), atol=1e-6)
    assert done["meta"] == {"model": model.manifest.source.name, "e5_onnx_fingerprint": model.fingerprint}
    assert [document.embedding for document in given] == [None] * 3
    found = E5TextEmbedder(str(tiny_folder), task="find").run(QUERY)
    np.testing.assert_allclose(found["embedding"], model.embed_queries(QUERY, task="find"), atol=1e-6)
    titled = E5DocumentEmbedder(str(tiny_folder), meta_fields_to_embed=["title", "none", "absent"])
    (document,) = titled.run([Document(content=None, meta={"title": "T", "none": None})])["documents"]
    np.testing.assert_allclose(document.embedding, model.embed_documents("T\n"), atol=1e-6)
    assert E5DocumentEmbedder(str(tiny_folder)).run([])["documents"] == []


def test_a_pipeline_finds_what_the_model_finds(tiny_folder: Path, model: Embedder) -> None:
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from e5_onnx.integrations.haystack import E5TextEmbedder

    store = InMemoryDocumentStore()
    indexing(tiny_folder, store).run(
        {"embedder": {"documents": [Document(content=text) for text in DOCUMENTS]}}
    )
    pipeline = Pipeline()
    pipeline.add_component("embedder", E5TextEmbedder(str(tiny_folder)))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    found = pipeline.run({"embedder": {"text": QUERY}})["retriever"]["documents"]
    scores = model.embed_documents(DOCUMENTS) @ model.embed_queries(QUERY)
    assert [document.content for document in found] == [DOCUMENTS[n] for n in np.argsort(-scores)]


def test_pipelines_are_stored_and_made_again(tiny_folder: Path) -> None:
    from haystack import Document, Pipeline, default_from_dict
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from e5_onnx.integrations.haystack import E5TextEmbedder

    pipeline = indexing(tiny_folder, InMemoryDocumentStore())
    again = Pipeline.loads(pipeline.dumps())
    assert again.to_dict() == pipeline.to_dict()
    done = again.run({"embedder": {"documents": [Document(content="moon")]}})
    assert done["writer"] == {"documents_written": 1}
    embedder = E5TextEmbedder(str(tiny_folder), task="find", overflow="truncate", threads=1)
    assert default_from_dict(E5TextEmbedder, embedder.to_dict()).to_dict() == embedder.to_dict()


LOADING = """
import sys
from haystack import Pipeline
{first}
print(len(Pipeline.loads(sys.stdin.read(){options}).get_component("embedder").run("moon")["embedding"]))
"""
IMPORT = "import e5_onnx.integrations.haystack"
ALLOWED = ", allowed_modules=['e5_onnx.integrations.haystack']"


@pytest.mark.parametrize(("first", "options"), [(IMPORT, ""), ("", ALLOWED), ("", "")])
def test_another_process_loads_a_pipeline(first: str, options: str, tiny_folder: Path) -> None:
    from haystack import Pipeline

    from e5_onnx.integrations.haystack import E5TextEmbedder

    pipeline = Pipeline()
    pipeline.add_component("embedder", E5TextEmbedder(str(tiny_folder)))
    done = subprocess.run(
        [sys.executable, "-c", LOADING.format(first=first, options=options)],
        input=pipeline.dumps(),
        capture_output=True,
        text=True,
        check=False,
    )
    if first or options:
        assert (done.stdout, done.returncode) == ("32\n", 0)
    else:  # as the page says: one of them is needed
        assert "Refusing to deserialize a class from module 'e5_onnx.integrations.haystack'" in done.stderr


def test_pipelines_run_asynchronously(tiny_folder: Path, model: Embedder) -> None:
    from haystack import Document, Pipeline

    from e5_onnx.integrations.haystack import E5DocumentEmbedder, E5TextEmbedder

    pipeline = Pipeline()
    pipeline.add_component("query", E5TextEmbedder(str(tiny_folder)))
    pipeline.add_component("documents", E5DocumentEmbedder(str(tiny_folder)))
    given = {"query": {"text": QUERY}, "documents": {"documents": [Document(content="moon")]}}
    done = asyncio.run(pipeline.run_async(given))
    np.testing.assert_allclose(done["query"]["embedding"], model.embed_queries(QUERY), atol=1e-6)
    (document,) = done["documents"]["documents"]
    np.testing.assert_allclose(document.embedding, model.embed_documents("moon"), atol=1e-6)


def test_two_models_are_not_mixed(tiny_folder: Path, other_folder: Path) -> None:
    from haystack import Document
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from e5_onnx.integrations.haystack import E5DocumentEmbedder, E5TextEmbedder

    store = InMemoryDocumentStore()
    store.write_documents([Document(content="without a stamp")])
    embedders = [kind(str(other_folder)) for kind in (E5TextEmbedder, E5DocumentEmbedder)]
    for embedder in embedders:
        embedder.check(store)
    indexing(tiny_folder, store).run(
        {"embedder": {"documents": [Document(content=text) for text in DOCUMENTS]}}
    )
    E5TextEmbedder(str(tiny_folder)).check(store)
    for embedder in embedders:
        with pytest.raises(MixedVectorsError, match="the InMemoryDocumentStore holds vectors of the model"):
            embedder.check(store)
