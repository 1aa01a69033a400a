"""LangChain: `Embeddings`. Needs the extra `[langchain]`.

>>> from e5_onnx.integrations.langchain import E5Embeddings
>>> store = InMemoryVectorStore(E5Embeddings("e5-large"))  # doctest: +SKIP

Raises:
    MissingExtraError: On import, if langchain-core is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from e5_onnx.errors import MissingExtraError
from e5_onnx.integrations.fingerprints import FINGERPRINT_KEY, SAMPLE, refuse_others
from e5_onnx.integrations.shared_model import shared_embedder
from e5_onnx.tokenization import OverflowPolicy

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
            overflow: What becomes of texts that are too long.
            threads: Of the session; None chooses by CPU affinity and cgroup quota.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
        """
        self._model = shared_embedder(folder, threads=threads, overflow=overflow)
        self._task = task

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embeds documents, in their role."""
        vectors: list[list[float]] = self._model.embed_documents(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Embeds a query, in its role."""
        vector: list[float] = self._model.embed_queries(text, task=self._task).tolist()
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
            store: Whose documents were stamped.

        Raises:
            MixedVectorsError: If it holds another model's vectors.
        """
        anywhere = [1.0, *[0.0] * (self._model.dimension - 1)]
        found = store.similarity_search_by_vector(anywhere, k=SAMPLE)
        metadata = [document.metadata for document in found]
        refuse_others(f"the {type(store).__name__}", metadata, self.fingerprint)
