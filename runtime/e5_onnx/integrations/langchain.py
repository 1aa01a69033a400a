"""LangChain: `Embeddings`. Needs the extra `[langchain]`.

>>> from langchain_core.vectorstores import InMemoryVectorStore
>>> from e5_onnx.integrations.langchain import E5Embeddings
>>> store = InMemoryVectorStore.from_texts(["Paris is the capital of France."], E5Embeddings("my-e5"))
>>> [found.page_content for found in store.similarity_search("Where is Paris?", k=1)]
['Paris is the capital of France.']

Raises:
    MissingExtraError: On import, if langchain-core is not installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from e5_onnx.errors import MissingExtraError
from e5_onnx.integrations.fingerprints import FINGERPRINT_KEY, SAMPLE, refuse_others
from e5_onnx.integrations.shared_model import shared_embedder
from e5_onnx.text_input.texts import check_texts
from e5_onnx.tokens.tokenization import OverflowPolicy

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
except ImportError as error:
    raise MissingExtraError("langchain", "langchain-core") from error

if TYPE_CHECKING:
    from langchain_core.vectorstores import VectorStore


class E5Embeddings(Embeddings):  # type: ignore[misc]  # the library is optional, so its types are not known
    """A model folder as LangChain's embedding model."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        task: str | None = None,
        overflow: OverflowPolicy = "warn",
        threads: int | None = None,
    ) -> None:
        """Opens a folder.

        Args:
            folder: A model folder made by `e5-export`.
            task: The instruction of queries, where the model takes one; None for its default.
            overflow: How texts beyond the token limit are treated.
            threads: Number of threads of the session; None chooses by CPU affinity and cgroup quota.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
        """
        self._model = shared_embedder(folder, threads=threads, overflow=overflow)
        self._task, self._overflow = task, overflow

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    @property
    def cache_namespace(self) -> str:
        """The `namespace` of a `CacheBackedEmbeddings`: another model, task or overflow has another one.

        Queries and documents need a store each all the same: LangChain's key is the text alone, and with
        `query_embedding_cache=True` a query gets the vector of a document with its text.
        """
        # A digest, since LangChain's stores allow few characters in their keys.
        decides = json.dumps([self.fingerprint, self._overflow, self._task])
        return sha256(decides.encode()).hexdigest() + "-"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embeds documents, in their role."""
        vectors: list[list[float]] = self._model.embed_documents(check_texts(texts)).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Embeds a query, in its role."""
        vector: list[float] = self._model.embed_queries(check_texts([text]), task=self._task)[0].tolist()
        return vector

    def stamp(self, documents: Sequence[Document]) -> list[Document]:
        """Returns copies of documents whose metadata say which model embeds them, for `check`."""
        return [
            document.model_copy(update={"metadata": {**document.metadata, FINGERPRINT_KEY: self.fingerprint}})
            for document in documents
        ]

    def check(self, store: VectorStore) -> None:
        """Looks at some documents of a store, before more are added or it is searched.

        Args:
            store: The store whose documents were stamped.

        Raises:
            MixedVectorsError: If it holds another model's vectors.
        """
        anywhere = [1.0, *[0.0] * (self._model.dimension - 1)]
        found = store.similarity_search_by_vector(anywhere, k=SAMPLE)
        metadata = [document.metadata for document in found]
        refuse_others(f"the {type(store).__name__}", metadata, self.fingerprint)
