"""LlamaIndex's own classes around the model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from integration_texts import DOCUMENTS, QUERY

from e5_onnx import Embedder
from e5_onnx.integrations.errors import MixedVectorsError

pytestmark = pytest.mark.reference


def test_roles(tiny_folder: Path, model: Embedder) -> None:
    from e5_onnx.integrations.llama_index import E5Embedding

    embedding = E5Embedding(folder=str(tiny_folder))
    documents, query = model.embed_documents(DOCUMENTS), model.embed_queries(QUERY)
    np.testing.assert_allclose(embedding.get_text_embedding_batch(DOCUMENTS), documents, atol=1e-6)
    np.testing.assert_allclose(embedding.get_text_embedding(DOCUMENTS[1]), documents[1], atol=1e-6)
    np.testing.assert_allclose(embedding.get_query_embedding(QUERY), query, atol=1e-6)
    with_task = E5Embedding(folder=str(tiny_folder), task="find").get_query_embedding(QUERY)
    np.testing.assert_allclose(with_task, model.embed_queries(QUERY, task="find"), atol=1e-6)
    assert (embedding.model_name, embedding.fingerprint) == (model.manifest.source.name, model.fingerprint)


def test_it_is_what_llama_index_takes(tiny_folder: Path) -> None:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    from e5_onnx.integrations.llama_index import E5Embedding

    embedding = E5Embedding(folder=str(tiny_folder), threads=1)
    assert isinstance(embedding, BaseEmbedding)
    assert asyncio.run(embedding.aget_query_embedding(QUERY)) == embedding.get_query_embedding(QUERY)
    batch = asyncio.run(embedding.aget_text_embedding_batch(DOCUMENTS))
    assert batch == embedding.get_text_embedding_batch(DOCUMENTS)
    stored = embedding.to_dict()
    assert (stored["class_name"], stored["folder"], stored["threads"]) == ("E5Embedding", str(tiny_folder), 1)
    assert E5Embedding.from_dict(stored).get_query_embedding(QUERY) == embedding.get_query_embedding(QUERY)


def test_a_cache_gives_no_query_the_vector_of_a_document(tiny_folder: Path, model: Embedder) -> None:
    from llama_index.core.storage.kvstore import SimpleKVStore

    from e5_onnx.integrations.llama_index import E5Embedding

    cache = SimpleKVStore()
    embedding = E5Embedding(folder=str(tiny_folder), embeddings_cache=cache)
    documents, queries = model.embed_documents(["tea", "moon"]), model.embed_queries(["tea", "moon"])
    np.testing.assert_allclose(embedding.get_text_embedding_batch(["tea"]), documents[:1], atol=1e-6)
    np.testing.assert_allclose(embedding.get_query_embedding("tea"), queries[0], atol=1e-6)
    np.testing.assert_allclose(asyncio.run(embedding.aget_query_embedding("moon")), queries[1], atol=1e-6)
    np.testing.assert_allclose(embedding.get_text_embedding("moon"), documents[1], atol=1e-6)
    assert len(cache.get_all(collection="embeddings")) == 2
    assert embedding.embeddings_cache is cache


def test_an_index_finds_what_the_model_finds(tiny_folder: Path, model: Embedder) -> None:
    from llama_index.core import Document, VectorStoreIndex

    from e5_onnx.integrations.llama_index import E5Embedding

    embedding = E5Embedding(folder=str(tiny_folder))
    documents = [Document(text=text) for text in DOCUMENTS]
    embedding.stamp(documents)
    embedding.stamp(documents)
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    embedding.check(index)
    found = index.as_retriever(similarity_top_k=3).retrieve(QUERY)
    scores = model.embed_documents(DOCUMENTS) @ model.embed_queries(QUERY)
    assert [node.text for node in found] == [DOCUMENTS[n] for n in np.argsort(-scores)]
    np.testing.assert_allclose([node.score for node in found], np.sort(scores)[::-1], atol=1e-5)


def test_two_models_are_not_mixed(tiny_folder: Path, other_folder: Path) -> None:
    from llama_index.core import Document, VectorStoreIndex

    from e5_onnx.integrations.llama_index import E5Embedding

    one, other = E5Embedding(folder=str(tiny_folder)), E5Embedding(folder=str(other_folder))
    documents = [Document(text=text) for text in DOCUMENTS]
    other.check(VectorStoreIndex.from_documents(documents, embed_model=one))
    one.stamp(documents)
    index = VectorStoreIndex.from_documents(documents, embed_model=one)
    with pytest.raises(MixedVectorsError, match="the VectorStoreIndex holds vectors of the model") as caught:
        other.check(index)
    assert (caught.value.held, caught.value.offered) == (one.fingerprint, other.fingerprint)
