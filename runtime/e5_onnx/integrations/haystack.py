"""Haystack: a text embedder and a document embedder. Needs the extra `[haystack]`.

>>> from haystack import Pipeline
>>> from e5_onnx.integrations.haystack import E5TextEmbedder
>>> pipeline = Pipeline().add_component("embedder", E5TextEmbedder("my-e5"))
>>> list(pipeline.run({"embedder": {"text": "Where is Paris?"}})["embedder"])
['embedding', 'meta']

Haystack 3 loads a stored pipeline only from modules that it was told to trust. Importing this module tells
it; a process that does not import it passes `allowed_modules=["e5_onnx.integrations.haystack"]`.

Raises:
    MissingExtraError: On import, if haystack-ai is not installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from e5_onnx.embedder import Embedder
from e5_onnx.errors import MissingExtraError
from e5_onnx.integrations.errors import DocumentTypeError
from e5_onnx.integrations.fingerprints import FINGERPRINT_KEY, refuse_others
from e5_onnx.integrations.shared_model import shared_embedder
from e5_onnx.text_input.texts import check_texts
from e5_onnx.tokens.tokenization import OverflowPolicy

try:
    from haystack import Document, component, default_to_dict
except ImportError as error:
    raise MissingExtraError("haystack", "haystack-ai") from error

try:
    from haystack.core.serialization import allow_deserialization_module
except ImportError:
    pass  # before Haystack 3, which loads from any module
else:
    allow_deserialization_module(__name__)

if TYPE_CHECKING:
    from haystack.document_stores.types import DocumentStore

Fields = dict[str, Any]


class _FolderComponent:
    """The base of both embedders: a folder that is opened when it is needed."""

    folder: str
    overflow: OverflowPolicy
    threads: int | None
    _model: Embedder | None = None

    def warm_up(self) -> None:
        """Opens the folder.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
        """
        self._model = shared_embedder(self.folder, threads=self.threads, overflow=self.overflow)

    def check(self, store: DocumentStore) -> None:
        """Looks for other models' vectors in a store, before more are added or it is searched.

        Args:
            store: The store whose documents came from an E5DocumentEmbedder.

        Raises:
            MixedVectorsError: If it holds another model's vectors.
        """
        fingerprint, field = self._opened().fingerprint, f"meta.{FINGERPRINT_KEY}"
        conditions = [{"field": field, "operator": "!=", "value": value} for value in (fingerprint, None)]
        others = store.filter_documents({"operator": "AND", "conditions": conditions})
        refuse_others(f"the {type(store).__name__}", [document.meta for document in others], fingerprint)

    def _opened(self) -> Embedder:
        if self._model is None:
            self.warm_up()
        return cast("Embedder", self._model)


@component
class E5TextEmbedder(_FolderComponent):
    """Embeds a query, in its role."""

    def __init__(
        self,
        folder: str,
        *,
        task: str | None = None,
        overflow: OverflowPolicy = "warn",
        threads: int | None = None,
    ) -> None:
        """Notes what is to be opened.

        Args:
            folder: A model folder made by `e5-export`.
            task: The instruction of queries, where the model takes one; None for its default.
            overflow: How a query beyond the token limit is treated.
            threads: Number of threads of the session; None chooses by CPU affinity and cgroup quota.
        """
        self.folder, self.task, self.overflow, self.threads = folder, task, overflow, threads

    @component.output_types(embedding=list[float], meta=Fields)  # type: ignore[untyped-decorator]
    def run(self, text: str) -> Fields:
        """Embeds a query.

        Returns:
            `embedding`, and in `meta` the model's name and fingerprint.

        Raises:
            TextTypeError: If it is no str; documents are for E5DocumentEmbedder.
        """
        model = self._opened()
        (vector,) = model.embed_queries(check_texts([text]), task=self.task)
        return {"embedding": vector.tolist(), "meta": _meta(model)}

    @component.output_types(embedding=list[float], meta=Fields)  # type: ignore[untyped-decorator]
    async def run_async(self, text: str) -> Fields:
        """Does as `run` does, in a thread."""
        return await asyncio.to_thread(self.run, text)

    def to_dict(self) -> Fields:
        """Returns the settings that a pipeline stores."""
        stored: Fields = default_to_dict(
            self, folder=self.folder, task=self.task, overflow=self.overflow, threads=self.threads
        )
        return stored


@component
class E5DocumentEmbedder(_FolderComponent):
    """Embeds documents, in their role, and writes the model's fingerprint into their metadata."""

    def __init__(
        self,
        folder: str,
        *,
        meta_fields_to_embed: Sequence[str] = (),
        embedding_separator: str = "\n",
        overflow: OverflowPolicy = "warn",
        threads: int | None = None,
    ) -> None:
        """Notes what is to be opened.

        Args:
            folder: A model folder made by `e5-export`.
            meta_fields_to_embed: Metadata that are embedded before the content.
            embedding_separator: The string between them.
            overflow: How documents beyond the token limit are treated.
            threads: Number of threads of the session; None chooses by CPU affinity and cgroup quota.
        """
        self.folder, self.overflow, self.threads = folder, overflow, threads
        self.meta_fields_to_embed, self.embedding_separator = list(meta_fields_to_embed), embedding_separator

    @component.output_types(documents=list[Document], meta=Fields)  # type: ignore[untyped-decorator]
    def run(self, documents: list[Document]) -> Fields:
        """Embeds documents.

        Returns:
            `documents`, which are copies, and in `meta` the model's name and fingerprint.

        Raises:
            DocumentTypeError: If one is no Document; a query is for E5TextEmbedder.
        """
        documents = _checked(documents)
        model = self._opened()
        vectors = model.embed_documents([self._text(document) for document in documents])
        embedded = [
            replace(
                document,
                embedding=vector.tolist(),
                meta={**document.meta, FINGERPRINT_KEY: model.fingerprint},
            )
            for document, vector in zip(documents, vectors, strict=True)
        ]
        return {"documents": embedded, "meta": _meta(model)}

    @component.output_types(documents=list[Document], meta=Fields)  # type: ignore[untyped-decorator]
    async def run_async(self, documents: list[Document]) -> Fields:
        """Does as `run` does, in a thread."""
        return await asyncio.to_thread(self.run, documents)

    def to_dict(self) -> Fields:
        """Returns the settings that a pipeline stores."""
        stored: Fields = default_to_dict(
            self,
            folder=self.folder,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
            overflow=self.overflow,
            threads=self.threads,
        )
        return stored

    def _text(self, document: Document) -> str:
        fields = [
            document.meta[name] for name in self.meta_fields_to_embed if document.meta.get(name) is not None
        ]
        return self.embedding_separator.join([*map(str, fields), document.content or ""])


def _checked(documents: Iterable[Document]) -> list[Document]:
    instead = "pass a list of Document objects, or a query to E5TextEmbedder"
    if isinstance(documents, Document) or not isinstance(documents, Iterable):
        raise DocumentTypeError(type(documents), instead)
    listed = list(documents)
    for document in listed:
        if not isinstance(document, Document):
            raise DocumentTypeError(type(document), instead)
    return listed


def _meta(model: Embedder) -> Fields:
    return {"model": model.manifest.source.name, FINGERPRINT_KEY: model.fingerprint}
