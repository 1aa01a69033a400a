"""LangChain's own classes around the model."""

from __future__ import annotations

import asyncio
import re
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


def test_a_cache_keeps_queries_and_documents_apart(tiny_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("langchain_classic", reason="langchain-classic, of [clients], is missing")
    from langchain_classic.embeddings import CacheBackedEmbeddings
    from langchain_classic.storage import LocalFileStore

    from e5_onnx.integrations.langchain import E5Embeddings

    plain, with_task = E5Embeddings(tiny_folder), E5Embeddings(tiny_folder, task="find it, fast!")
    assert plain.embed_query("tea") != with_task.embed_query("tea") != plain.embed_documents(["tea"])[0]
    for _ in range(2):  # filling the stores, and reading them
        for embeddings in (plain, with_task):
            cached = CacheBackedEmbeddings.from_bytes_store(
                embeddings,
                LocalFileStore(tmp_path / "documents"),
                query_embedding_cache=LocalFileStore(tmp_path / "queries"),
                namespace=embeddings.cache_namespace,
                key_encoder="sha256",
            )
            assert cached.embed_documents(["tea", QUERY]) == embeddings.embed_documents(["tea", QUERY])
            assert cached.embed_query("tea") == embeddings.embed_query("tea")
    assert len(list((tmp_path / "queries").iterdir())) == 2
    assert len(list((tmp_path / "documents").iterdir())) == 4


def test_the_namespace_of_a_cache_is_that_of_the_vectors(tiny_folder: Path, other_folder: Path) -> None:
    from e5_onnx.integrations.langchain import E5Embeddings

    spaces = [
        E5Embeddings(folder, task=task, overflow=overflow).cache_namespace  # type: ignore[arg-type]
        for folder, task, overflow in [
            (tiny_folder, None, "warn"),
            (other_folder, None, "warn"),
            (tiny_folder, "find", "warn"),
            (tiny_folder, None, "window"),
        ]
    ]
    assert len(set(spaces)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{64}-", space) for space in spaces)
    assert E5Embeddings(tiny_folder).cache_namespace == spaces[0]


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
