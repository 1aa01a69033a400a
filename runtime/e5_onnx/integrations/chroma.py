"""Chroma: `EmbeddingFunction`. Needs the extra `[chroma]`.

>>> import chromadb
>>> from e5_onnx.integrations.chroma import E5EmbeddingFunction
>>> documents = chromadb.EphemeralClient().get_or_create_collection(
...     "documents", embedding_function=E5EmbeddingFunction("my-e5")
... )
>>> documents.add(ids=["1"], documents=["Paris is the capital of France."])
>>> documents.query(query_texts=["Where is Paris?"], n_results=1)["ids"]
[['1']]

Chroma stores an embedding function's name with the collection and refuses a function with another. The name
of this one has the model's fingerprint in it, so that a collection cannot be filled or searched with another
model's vectors. Chroma does not know that name in a new process, so pass `embedding_function` whenever a
collection is opened.

Raises:
    MissingExtraError: On import, if chromadb is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx.integrations.errors import MixedVectorsError
from e5_onnx.integrations.shared_model import shared_embedder
from e5_onnx.text_input.texts import check_texts
from e5_onnx.tokens.tokenization import OverflowPolicy

try:
    from chromadb.api.types import EmbeddingFunction
    from chromadb.utils.embedding_functions import known_embedding_functions
except ImportError as error:
    raise MissingExtraError("chroma", "chromadb") from error

VectorList = list[NDArray[np.float32]]

_NAME: Final = "e5_onnx"
# Enough of the fingerprint that two models never share it.
_DIGITS: Final = 16


class _Name:
    """Chroma asks the class for its name when it registers it, and the object when it compares."""

    def __get__(self, function: E5EmbeddingFunction | None, _owner: type) -> Callable[[], str]:
        name = _NAME if function is None else f"{_NAME}_{function.fingerprint[:_DIGITS]}"
        return lambda: name


class E5EmbeddingFunction(EmbeddingFunction):  # type: ignore[misc]  # the library is optional
    """A model folder as Chroma's embedding function."""

    name = _Name()

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
        self._task = task
        self._config = {
            "folder": str(folder),
            "fingerprint": self.fingerprint,
            "task": task,
            "overflow": overflow,
            "threads": threads,
        }
        # Chroma itself registers the class under the class's name only.
        known_embedding_functions[self.name()] = type(self)

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    # Chroma calls it by this name.
    def __call__(self, input: list[str]) -> VectorList:
        """Embeds documents, in their role."""
        return list(self._model.embed_documents(check_texts(input)))

    def embed_query(self, input: list[str]) -> VectorList:
        """Embeds queries, in their role."""
        return list(self._model.embed_queries(check_texts(input), task=self._task))

    def default_space(self) -> str:
        """How Chroma compares vectors if nobody says otherwise."""
        return "cosine"

    def supported_spaces(self) -> list[str]:
        """How Chroma may compare them; all have length 1, so that all three rank alike."""
        return ["cosine", "l2", "ip"]

    def get_config(self) -> dict[str, Any]:
        """Returns the settings that Chroma stores with a collection."""
        return dict(self._config)

    @staticmethod
    def build_from_config(config: Mapping[str, Any]) -> E5EmbeddingFunction:
        """Makes a function again from what was stored with a collection.

        Raises:
            MixedVectorsError: If another model lies in the folder by now.
            FolderError: If there is none.
        """
        function = E5EmbeddingFunction(
            config["folder"], task=config["task"], overflow=config["overflow"], threads=config["threads"]
        )
        function.validate_config_update(config, function.get_config())
        return function

    def validate_config_update(self, old_config: Mapping[str, Any], new_config: Mapping[str, Any]) -> None:
        """Lets everything about a collection's function be changed but the model.

        Raises:
            MixedVectorsError: If it is another model.
        """
        held, offered = old_config["fingerprint"], new_config["fingerprint"]
        if held != offered:
            raise MixedVectorsError("the collection", held=held, offered=offered)

    @staticmethod
    def validate_config(config: Mapping[str, Any]) -> None:
        """There is nothing to be wrong with what `get_config` gave."""
