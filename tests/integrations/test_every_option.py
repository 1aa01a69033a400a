"""Every option of every integration is obeyed, and each takes texts where texts belong."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration_texts import DOCUMENTS, QUERY

from e5_onnx import E5Error, Embedder, TextTooLongError

pytestmark = pytest.mark.reference

LONG = "moon " * 400


@dataclass(frozen=True)
class Integration:
    """A class, and how one of its objects embeds."""

    module: str
    name: str
    query: Callable[[Any, Any], Any] | None
    documents: Callable[[Any, Any], Any] | None

    def kind(self) -> Any:
        return getattr(importlib.import_module(f"e5_onnx.integrations.{self.module}"), self.name)

    def open(self, folder: Path, **options: Any) -> Any:
        return self.kind()(**{self.place(): str(folder)}, **options)

    def place(self) -> str:
        return "model_name_or_path" if self.module == "sentence_transformers" else "folder"

    def options(self) -> set[str]:
        kind = self.kind()
        # Of LlamaIndex's, what its own base class adds is not ours.
        init = inspect.signature(kind.__init__).parameters
        names = kind.__annotations__ if self.module == "llama_index" else init
        return {name for name in names if not name.startswith("_")} - {"self", self.place()}


def haystack_documents(embedder: Any, texts: Any) -> Any:
    from haystack import Document

    documents = (Document(content=text) for text in texts)
    return [document.embedding for document in embedder.run(documents)["documents"]]


INTEGRATIONS = [
    Integration(
        "langchain", "E5Embeddings", lambda e, q: e.embed_query(q), lambda e, d: e.embed_documents(d)
    ),
    Integration(
        "llama_index",
        "E5Embedding",
        lambda e, q: e.get_query_embedding(q),
        # LlamaIndex's own method reads texts before ours does, and takes lists only.
        lambda e, d: e._get_text_embeddings(d),
    ),
    Integration("haystack", "E5TextEmbedder", lambda e, q: e.run(q)["embedding"], None),
    Integration("haystack", "E5DocumentEmbedder", None, haystack_documents),
    Integration("chroma", "E5EmbeddingFunction", lambda e, q: e.embed_query([q])[0], lambda e, d: e(d)),
    Integration(
        "sentence_transformers",
        "E5SentenceTransformer",
        lambda e, q: e.encode_query(q),
        lambda e, d: e.encode_document(d),
    ),
]
each = pytest.mark.parametrize("integration", INTEGRATIONS, ids=lambda integration: integration.name)

COMMON = {"task", "overflow", "threads"}
OWN = {"E5DocumentEmbedder": {"meta_fields_to_embed", "embedding_separator"}}


def opened_model(embedder: Any) -> Embedder:
    if hasattr(embedder, "warm_up"):
        embedder.warm_up()
    return embedder._model


@each
def test_no_option_is_without_a_test(integration: Integration) -> None:
    expected = COMMON if integration.query is not None else COMMON - {"task"}
    options = integration.options()
    if integration.module == "sentence_transformers":
        from sentence_transformers import SentenceTransformer

        # test_sentence_transformers.py has them.
        options -= set(inspect.signature(SentenceTransformer.__init__).parameters)
    assert options == expected | OWN.get(integration.name, set())


@each
def test_the_task_is_obeyed(integration: Integration, tiny_folder: Path, model: Embedder) -> None:
    if integration.query is None:
        return
    found = integration.query(integration.open(tiny_folder, task="find"), QUERY)
    np.testing.assert_allclose(found, model.embed_queries(QUERY, task="find"), atol=2e-6)


@each
def test_the_number_of_threads_is_obeyed(integration: Integration, tiny_folder: Path) -> None:
    for threads in (1, 2):
        assert opened_model(integration.open(tiny_folder, threads=threads)).threads == threads


@each
def test_overflow_is_obeyed(integration: Integration, tiny_folder: Path, model: Embedder) -> None:
    refusing = integration.open(tiny_folder, overflow="error")
    if integration.query is not None:
        with pytest.raises(TextTooLongError):
            integration.query(refusing, LONG)
    if integration.documents is not None:
        with pytest.raises(TextTooLongError):
            integration.documents(refusing, [LONG])
        found = integration.documents(integration.open(tiny_folder, overflow="window"), [LONG])
        expected = model.encode([LONG], role="document", overflow="window").vectors
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_documents_of_haystack_have_their_metadata_and_separator(
    tiny_folder: Path, model: Embedder
) -> None:
    from haystack import Document

    from e5_onnx.integrations.haystack import E5DocumentEmbedder

    embedder = E5DocumentEmbedder(
        str(tiny_folder), meta_fields_to_embed=["title", "year"], embedding_separator=" | "
    )
    (done,) = embedder.run([Document(content="tea", meta={"title": "T", "year": 7})])["documents"]
    np.testing.assert_allclose(done.embedding, model.embed_documents("T | 7 | tea"), atol=2e-6)


@each
@pytest.mark.parametrize("again", [iter, tuple, lambda texts: (text for text in texts)])
def test_documents_are_any_iterable(
    integration: Integration, again: Callable[[list[str]], Any], tiny_folder: Path, model: Embedder
) -> None:
    if integration.documents is None:
        return
    found = integration.documents(integration.open(tiny_folder), again(DOCUMENTS))
    np.testing.assert_allclose(found, model.embed_documents(DOCUMENTS), atol=2e-6)


@each
@pytest.mark.parametrize("given", [["a", "b"], None, 5, b"a", ("a",)], ids=repr)
def test_one_query_is_one_str(integration: Integration, given: Any, tiny_folder: Path) -> None:
    if integration.query is None:
        return
    if integration.module == "sentence_transformers" and isinstance(given, list | tuple):
        return  # it takes several
    with pytest.raises(TypeError) as caught:
        integration.query(integration.open(tiny_folder), given)
    assert isinstance(caught.value, E5Error)


@each
@pytest.mark.parametrize("given", ["a text", None, 5, ["a", None], {"a": "b"}], ids=repr)
def test_documents_are_texts(integration: Integration, given: Any, tiny_folder: Path) -> None:
    if integration.documents is None or (
        given == "a text" and integration.module in {"sentence_transformers", "haystack"}
    ):
        return  # the one takes a single text, the other documents
    if integration.module == "haystack":
        from e5_onnx.integrations.haystack import E5DocumentEmbedder

        with pytest.raises(TypeError, match="not Document: pass a list of Document objects") as caught:
            E5DocumentEmbedder(str(tiny_folder)).run(given)
    else:
        with pytest.raises(TypeError) as caught:
            integration.documents(integration.open(tiny_folder), given)
    assert isinstance(caught.value, E5Error)
