"""The shape of sentence-transformers' `SentenceTransformer`, for code that takes one. Needs no extra.

>>> from e5_onnx.integrations.sentence_transformers import E5SentenceTransformer
>>> model = E5SentenceTransformer("e5-large")  # doctest: +SKIP
>>> model.similarity(model.encode_query(questions), model.encode_document(documents))  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import OptionError
from e5_onnx.integrations.shared_model import shared_embedder
from e5_onnx.recipes import Role
from e5_onnx.tokenization import OverflowPolicy

Texts = str | Sequence[str]
Vectors = NDArray[np.float32]

_ROLES: Final[dict[str, Role]] = {
    "query": "query",
    "document": "document",
    "passage": "document",
    "corpus": "document",
}


class E5SentenceTransformer:
    """A model folder with the methods that users of sentence-transformers call.

    Vectors are NumPy arrays of length 1, whatever `normalize_embeddings` says, and depend neither on
    `batch_size` nor on `show_progress_bar`, which are accepted and not needed.
    """

    similarity_fn_name: Final = "cosine"

    def __init__(
        self,
        model_name_or_path: str | os.PathLike[str],
        *,
        task: str | None = None,
        overflow: OverflowPolicy = "warn",
        threads: int | None = None,
    ) -> None:
        """Opens a folder.

        Args:
            model_name_or_path: A model folder made by `e5-export`.
            task: The instruction of queries, where the model takes one; None for its default.
            overflow: What becomes of texts that are too long.
            threads: Of the session; None chooses by CPU affinity and cgroup quota.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
        """
        self._model = shared_embedder(model_name_or_path, threads=threads, overflow=overflow)
        self._task = task

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    @property
    def max_seq_length(self) -> int:
        """Tokens the model takes, template and special tokens included."""
        return self._model.max_tokens

    def get_embedding_dimension(self) -> int:
        """Components of a vector."""
        return self._model.dimension

    def get_sentence_embedding_dimension(self) -> int:
        """Components of a vector, by the older name."""
        return self._model.dimension

    def encode(  # noqa: PLR0913 - they are sentence-transformers' own
        self,
        inputs: Texts,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = True,
    ) -> Vectors:
        """Embeds texts as they are, or as a prompt says.

        Args:
            inputs: A list of texts, or one.
            prompt_name: `query` or `document` (or `passage`, `corpus`), to embed them in that role.
            prompt: What is written before each text, instead of what a role writes.
            batch_size: Not needed.
            show_progress_bar: Not needed.
            convert_to_numpy: True.
            convert_to_tensor: False; `torch.from_numpy` makes a tensor of the result.
            normalize_embeddings: Not needed.

        Returns:
            float32 [n, dimension], or [dimension] for one str.

        Raises:
            OptionError: For another prompt's name, or where tensors are asked for.
            InputError: Another leaf of it names the text and what is wrong with it.
        """
        _refuse_tensors(numpy=convert_to_numpy, tensor=convert_to_tensor)
        return self._encode(inputs, _role(prompt_name, "raw"), prompt)

    def encode_query(  # noqa: PLR0913 - they are sentence-transformers' own
        self,
        inputs: Texts,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = True,
    ) -> Vectors:
        """Embeds queries: `encode`, in their role."""
        _refuse_tensors(numpy=convert_to_numpy, tensor=convert_to_tensor)
        return self._encode(inputs, _role(prompt_name, "query"), prompt)

    def encode_document(  # noqa: PLR0913 - they are sentence-transformers' own
        self,
        inputs: Texts,
        prompt_name: str | None = None,
        prompt: str | None = None,
        *,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        normalize_embeddings: bool = True,
    ) -> Vectors:
        """Embeds documents: `encode`, in their role."""
        _refuse_tensors(numpy=convert_to_numpy, tensor=convert_to_tensor)
        return self._encode(inputs, _role(prompt_name, "document"), prompt)

    def similarity(self, embeddings1: Vectors, embeddings2: Vectors) -> Vectors:
        """Cosines of every vector with every other: float32 [n, m]."""
        cosines: Vectors = np.atleast_2d(embeddings1) @ np.atleast_2d(embeddings2).T
        return cosines

    def similarity_pairwise(self, embeddings1: Vectors, embeddings2: Vectors) -> Vectors:
        """Cosines of vectors in the same places: float32 [n]."""
        cosines: Vectors = np.einsum("nd,nd->n", np.atleast_2d(embeddings1), np.atleast_2d(embeddings2))
        return cosines

    def _encode(self, inputs: Texts, role: Role, prompt: str | None) -> Vectors:
        if prompt is None:
            task = self._task if role == "query" else None
            return self._model.encode(inputs, role=role, task=task).vectors
        prompted = prompt + inputs if isinstance(inputs, str) else [prompt + text for text in inputs]
        return self._model.embed(prompted)


def _role(prompt_name: str | None, otherwise: Role) -> Role:
    if prompt_name is None:
        return otherwise
    if prompt_name not in _ROLES:
        raise OptionError("prompt_name", prompt_name, f"one of {', '.join(_ROLES)}")
    return _ROLES[prompt_name]


def _refuse_tensors(*, numpy: bool, tensor: bool) -> None:
    if tensor or not numpy:
        name, value = ("convert_to_tensor", tensor) if tensor else ("convert_to_numpy", numpy)
        raise OptionError(name, value, f"{not value}: torch.from_numpy makes a tensor of the result")
