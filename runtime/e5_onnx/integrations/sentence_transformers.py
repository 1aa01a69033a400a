"""The shape of sentence-transformers' `SentenceTransformer`, for code that takes one. Needs no extra.

>>> from e5_onnx.integrations.sentence_transformers import E5SentenceTransformer
>>> model = E5SentenceTransformer("my-e5")
>>> documents = model.encode_document(["Paris is the capital of France.", "Bread needs salt."])
>>> model.similarity(model.encode_query(["Where is Paris?"]), documents).shape
(1, 2)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import OptionError
from e5_onnx.integrations.shared_model import shared_embedder
from e5_onnx.recipes import Role
from e5_onnx.text_input.texts import TextOrTexts, check_texts
from e5_onnx.tokens.tokenization import OverflowPolicy

Vectors = NDArray[np.float32]

_ROLES: Final[dict[str, Role]] = {
    "query": "query",
    "document": "document",
    "passage": "document",
    "corpus": "document",
}

# Parameters of sentence-transformers that cannot have every value here: the possible values, and what to do.
_POSSIBLE: Final[Mapping[str, tuple[tuple[object, ...], str]]] = {
    "chunk_size": ((None,), "None: one process uses all threads"),
    "config_kwargs": ((None,), "None: the folder is configured at export"),
    "convert_to_numpy": ((True,), "True: torch.from_numpy makes a tensor of the result"),
    "convert_to_tensor": ((False,), "False: torch.from_numpy makes a tensor of the result"),
    "default_prompt_name": (
        (None,),
        "None: call encode_query or encode_document, or give encode `prompt_name`",
    ),
    "device": ((None, "cpu"), "'cpu'"),
    "model_kwargs": ((None,), "None: the precision is chosen at export"),
    "output_value": (("sentence_embedding",), "'sentence_embedding'"),
    "pool": ((None,), "None: one process uses all threads"),
    "precision": (
        ("float32", None),
        "'float32': quantize_embeddings of sentence-transformers rounds the result",
    ),
    "processor_kwargs": ((None,), "None: the tokenizer is that of the export"),
    "prompts": ((None,), "None: the folder has its templates, and encode takes another `prompt`"),
    "revision": ((None,), "None: `e5-export` takes a revision, a folder has one"),
    "similarity_fn_name": ((None, "cosine", "dot"), "'cosine'"),
    "truncate_dim": ((None,), "None: cut the vectors, and divide them by their new lengths"),
}


class E5SentenceTransformer:
    """A model folder with the methods that users of sentence-transformers call.

    Vectors are NumPy arrays of length 1. The parameters of sentence-transformers 5 are taken: what changes
    nothing here, such as `batch_size`, is ignored; a value that is not possible here is an OptionError.
    """

    similarity_fn_name: Final = "cosine"

    def __init__(  # noqa: D417, PLR0913 - they are sentence-transformers' own, but for three
        self,
        model_name_or_path: str | os.PathLike[str],
        *,
        task: str | None = None,
        overflow: OverflowPolicy = "warn",
        threads: int | None = None,
        device: str | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        model_kwargs: Mapping[str, object] | None = None,
        processor_kwargs: Mapping[str, object] | None = None,
        config_kwargs: Mapping[str, object] | None = None,
        backend: str = "onnx",
        similarity_fn_name: str | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        """Opens a folder. The parameters not named below are sentence-transformers' own.

        Args:
            model_name_or_path: A model folder made by `e5-export`.
            task: The instruction of queries, where the model takes one; None for its default.
            overflow: How texts beyond the token limit are treated.
            threads: Number of threads of the session; None chooses by CPU affinity and cgroup quota.

        Raises:
            FolderError: A leaf of it says what is wrong with the folder.
            OptionError: For a parameter that asks for what is not possible here.
        """
        _refuse_impossible(locals())
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

    @max_seq_length.setter
    def max_seq_length(self, tokens: int) -> None:
        if tokens != self._model.max_tokens:
            raise OptionError("max_seq_length", tokens, f"{self._model.max_tokens}, as chosen at export")

    def get_embedding_dimension(self) -> int:
        """Components of a vector."""
        return self._model.dimension

    def get_sentence_embedding_dimension(self) -> int:
        """Components of a vector, by the older name."""
        return self._model.dimension

    def encode(  # noqa: D417, PLR0913, PLR0917 - they are sentence-transformers' own
        self,
        inputs: TextOrTexts,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = True,
        truncate_dim: int | None = None,
        pool: object = None,
        chunk_size: int | None = None,
    ) -> Vectors:
        """Embeds texts as they are, or as a prompt says. The rest is sentence-transformers' own.

        Args:
            inputs: One text, or any iterable of texts.
            prompt_name: `query` or `document` (or `passage`, `corpus`), to embed them in that role.
            prompt: The string before each text, instead of the role's prompt template.

        Returns:
            float32 [n, dimension], or [dimension] for one str.

        Raises:
            OptionError: For another prompt's name, or a parameter that asks for what is not possible here.
            InputError: Another leaf of it names the text and what is wrong with it.
        """
        _refuse_impossible(locals())
        return self._encode(inputs, _role(prompt_name, "raw"), prompt)

    def encode_query(  # noqa: PLR0913, PLR0917 - they are sentence-transformers' own
        self,
        inputs: TextOrTexts,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = True,
        truncate_dim: int | None = None,
        pool: object = None,
        chunk_size: int | None = None,
    ) -> Vectors:
        """Embeds queries: `encode`, in their role."""
        _refuse_impossible(locals())
        return self._encode(inputs, _role(prompt_name, "query"), prompt)

    def encode_document(  # noqa: PLR0913, PLR0917 - they are sentence-transformers' own
        self,
        inputs: TextOrTexts,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str | None = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | None = None,
        normalize_embeddings: bool = True,
        truncate_dim: int | None = None,
        pool: object = None,
        chunk_size: int | None = None,
    ) -> Vectors:
        """Embeds documents: `encode`, in their role."""
        _refuse_impossible(locals())
        return self._encode(inputs, _role(prompt_name, "document"), prompt)

    def similarity(self, embeddings1: Vectors, embeddings2: Vectors) -> Vectors:
        """Cosines of every vector with every other: float32 [n, m]."""
        cosines: Vectors = np.atleast_2d(embeddings1) @ np.atleast_2d(embeddings2).T
        return cosines

    def similarity_pairwise(self, embeddings1: Vectors, embeddings2: Vectors) -> Vectors:
        """Cosines of vectors in the same places: float32 [n]."""
        cosines: Vectors = np.einsum("nd,nd->n", np.atleast_2d(embeddings1), np.atleast_2d(embeddings2))
        return cosines

    def _encode(self, inputs: TextOrTexts, role: Role, prompt: str | None) -> Vectors:
        if prompt is None:
            task = self._task if role == "query" else None
            return self._model.encode(inputs, role=role, task=task).vectors
        prompted = (
            prompt + inputs if isinstance(inputs, str) else [prompt + text for text in check_texts(inputs)]
        )
        return self._model.encode(prompted, role="raw").vectors


def _role(prompt_name: str | None, otherwise: Role) -> Role:
    if prompt_name is None:
        return otherwise
    if prompt_name not in _ROLES:
        raise OptionError("prompt_name", prompt_name, f"one of {', '.join(_ROLES)}")
    return _ROLES[prompt_name]


def _refuse_impossible(arguments: Mapping[str, Any]) -> None:
    for name in _POSSIBLE.keys() & arguments.keys():
        possible, instead = _POSSIBLE[name]
        # A device may also be torch's object for it.
        if arguments[name] not in possible and str(arguments[name]) not in possible:
            raise OptionError(name, arguments[name], instead)
