"""LlamaIndex: `BaseEmbedding`. Needs the extra `[llama-index]`.

>>> from e5_onnx.integrations.llama_index import E5Embedding
>>> model = E5Embedding(folder="my-e5")
>>> query = model.get_query_embedding("Where is Paris?")
>>> document = model.get_text_embedding("Paris is the capital of France.")

Raises:
    MissingExtraError: On import, if llama-index-core is not installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from e5_onnx.embedder import Embedder
from e5_onnx.errors import MissingExtraError
from e5_onnx.integrations.fingerprints import FINGERPRINT_KEY, SAMPLE, refuse_others
from e5_onnx.integrations.shared_model import shared_embedder
from e5_onnx.text_input.texts import check_texts
from e5_onnx.tokens.tokenization import OverflowPolicy

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.schema import BaseNode, QueryBundle
except ImportError as error:
    raise MissingExtraError("llama-index", "llama-index-core") from error

if TYPE_CHECKING:
    from llama_index.core.indices.base import BaseIndex


class E5Embedding(BaseEmbedding):  # type: ignore[misc]  # the library is optional, so its types are not known
    """A model folder as LlamaIndex's embedding model.

    An `embeddings_cache` keeps documents only: its key is the text alone, so that a query would get the
    vector of a document with its text.

    Attributes:
        folder: A model folder made by `e5-export`.
        task: The instruction of queries, where the model takes one; None for its default.
        overflow: How texts beyond the token limit are treated.
        threads: Number of threads of the session; None chooses by CPU affinity and cgroup quota.
    """

    folder: str
    task: str | None = None
    overflow: OverflowPolicy = "warn"
    threads: int | None = None
    _model: Embedder = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 - pydantic's
        """Opens the folder; pydantic calls it.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
        """
        super().model_post_init(context)
        self._model = shared_embedder(self.folder, threads=self.threads, overflow=self.overflow)
        self.model_name = self._model.manifest.source.name

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex stores it."""
        return "E5Embedding"

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    def stamp(self, nodes: Sequence[BaseNode]) -> None:
        """Writes into documents or nodes, out of all models' sight, which one embeds them, for `check`."""
        for node in nodes:
            node.metadata[FINGERPRINT_KEY] = self.fingerprint
            for excluded in (node.excluded_embed_metadata_keys, node.excluded_llm_metadata_keys):
                if FINGERPRINT_KEY not in excluded:
                    excluded.append(FINGERPRINT_KEY)

    def check(self, index: BaseIndex[Any]) -> None:
        """Looks at some nodes of an index, before more are added or it is searched.

        Args:
            index: The index whose documents were stamped.

        Raises:
            MixedVectorsError: If it holds another model's vectors.
        """
        anywhere = QueryBundle("", embedding=[1.0, *[0.0] * (self._model.dimension - 1)])
        found = index.as_retriever(similarity_top_k=SAMPLE, embed_model=self).retrieve(anywhere)
        metadata = [node.metadata for node in found]
        refuse_others(f"the {type(index).__name__}", metadata, self.fingerprint)

    def get_query_embedding(self, query: str) -> list[float]:
        """Embeds a query, in its role, without the cache."""
        vector: list[float] = super(E5Embedding, self._without_cache()).get_query_embedding(query)
        return vector

    async def aget_query_embedding(self, query: str) -> list[float]:
        """Embeds a query, in its role, without the cache."""
        vector: list[float] = await super(E5Embedding, self._without_cache()).aget_query_embedding(query)
        return vector

    def _without_cache(self) -> E5Embedding:
        return self.model_copy(update={"embeddings_cache": None})  # type: ignore[no-any-return]

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._model.embed_queries(check_texts([query]), task=self.task)[0].tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        vector: list[float] = self._model.embed_documents(check_texts([text]))[0].tolist()
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._model.embed_documents(check_texts(texts)).tolist()
        return vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
