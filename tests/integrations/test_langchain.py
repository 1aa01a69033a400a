"""LangChain's own classes around the model."""

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
    from e5_onnx.integrations.langchain import E5Embeddings

    embeddings = E5Embeddings(tiny_folder)
    np.testing.assert_allclose(
        embeddings.embed_documents(DOCUMENTS), model.embed_documents(DOCUMENTS), atol=1e-6
    )
    np.testing.assert_allclose(embeddings.embed_query(QUERY), model.embed_queries(QUERY), atol=1e-6)
    with_task = E5Embeddings(str(tiny_folder), task="find").embed_query(QUERY)
    np.testing.assert_allclose(with_task, model.embed_queries(QUERY, task="find"), atol=1e-6)
    assert (embeddings.fingerprint, embeddings.embed_documents([])) == (model.fingerprint, [])
    assert type(embeddings.embed_query("")[0]) is float


def test_it_is_what_langchain_takes(tiny_folder: Path) -> None:
    from langchain_core.embeddings import Embeddings

    from e5_onnx.integrations.langchain import E5Embeddings

    embeddings = E5Embeddings(tiny_folder, threads=1)
    assert isinstance(embeddings, Embeddings)
    assert asyncio.run(embeddings.aembed_query(QUERY)) == embeddings.embed_query(QUERY)
    assert asyncio.run(embeddings.aembed_documents(DOCUMENTS)) == embeddings.embed_documents(DOCUMENTS)


def test_a_store_finds_what_the_model_finds(tiny_folder: Path, model: Embedder) -> None:
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore

    from e5_onnx.integrations.langchain import E5Embeddings

    embeddings = E5Embeddings(tiny_folder)
    store = InMemoryVectorStore(embeddings)
    store.add_documents(
        embeddings.stamp([Document(text, metadata={"n": n}) for n, text in enumerate(DOCUMENTS)])
    )
    embeddings.check(store)
    ranked = np.argsort(-(model.embed_documents(DOCUMENTS) @ model.embed_queries(QUERY)))
    found = store.as_retriever(search_kwargs={"k": 3}).invoke(QUERY)
    assert [document.metadata["n"] for document in found] == ranked.tolist()


def test_two_models_are_not_mixed(tiny_folder: Path, other_folder: Path) -> None:
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore

    from e5_onnx.integrations.langchain import E5Embeddings

    one, other = E5Embeddings(tiny_folder), E5Embeddings(other_folder)
    store = InMemoryVectorStore(one)
    other.check(store)
    store.add_documents([Document("without a stamp")])
    other.check(store)
    store.add_documents(one.stamp([Document(text) for text in DOCUMENTS]))
    with pytest.raises(
        MixedVectorsError, match="the InMemoryVectorStore holds vectors of the model"
    ) as caught:
        other.check(store)
    assert (caught.value.held, caught.value.offered) == (one.fingerprint, other.fingerprint)
