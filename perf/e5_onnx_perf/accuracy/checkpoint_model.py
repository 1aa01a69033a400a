"""A checkpoint under transformers or sentence-transformers: full precision as others run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError, OptionError
from e5_onnx.inference.encoded import Encoded
from e5_onnx.model_folder.manifest import TOKENIZER_NAME, Manifest, Pooling
from e5_onnx.recipes import Recipe, RecipeName
from e5_onnx.text_input.texts import check_texts
from e5_onnx.tokens.full_tokenizer import FullTokenizer
from e5_onnx.tokens.tokenization import truncate
from e5_onnx_export import RecipeRequest
from e5_onnx_export.checkpoint import Checkpoint, open_checkpoint
from e5_onnx_export.recipe.detection import EncodingChoice, detect
from e5_onnx_export.reference import Reference, open_reference
from e5_onnx_perf.accuracy.instructions import Side
from e5_onnx_perf.accuracy.measured_model import Loaded, MeasuredModel

_BATCH: Final = 32


def open_torch(source: str, beside: Manifest | None) -> MeasuredModel:
    """A checkpoint as transformers runs it in fp32, with our tokens.

    Args:
        source: As for `e5-export`: a local folder, a model's id on the hub, or `demo`.
        beside: The manifest of a folder it is compared with, for its recipe, or None.

    Raises:
        CheckpointError: If the checkpoint is not sound.
        MissingExtraError: If torch or transformers is not installed.
    """
    checkpoint, choice = _open(source, beside)
    return _describe(checkpoint, choice, _Kind("torch", ("torch", "transformers"), _load_torch))


def open_sentence_transformers(source: str, beside: Manifest | None) -> MeasuredModel:
    """A checkpoint as sentence-transformers runs it in fp32, tokenizer and pooling its own.

    Args:
        source: A local folder or a model's id on the hub.
        beside: As for `open_torch`.

    Raises:
        CheckpointError: If the checkpoint is not sound.
        MissingExtraError: If sentence-transformers is not installed.
        OptionError: For `demo`, which is no folder that sentence-transformers could open.
    """
    checkpoint, choice = _open(source, beside)
    if checkpoint.folder is None:
        raise OptionError(
            "st:", source, "a folder or a hub id: write demo to a folder with e5-perf make-checkpoint"
        )
    libraries = ("sentence-transformers", "torch", "transformers")
    return _describe(checkpoint, choice, _Kind("st", libraries, _load_sentence))


def _open(source: str, beside: Manifest | None) -> tuple[Checkpoint, EncodingChoice]:
    checkpoint = open_checkpoint(source)
    return checkpoint, detect(checkpoint, _request(beside))


def _request(beside: Manifest | None) -> RecipeRequest:
    if beside is None:
        return RecipeRequest()
    recipe = beside.recipe
    # A folder of a newer version may have words that are not known here: then the checkpoint says.
    pooling = next((word for word in get_args(Pooling) if word == beside.pooling), None)
    name: RecipeName = next((word for word in get_args(RecipeName) if word == recipe.name), "custom")
    if name != "custom":
        return RecipeRequest(name, pooling=pooling)
    return RecipeRequest(
        query_template=recipe.query_template, document_template=recipe.document_template, pooling=pooling
    )


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    libraries: Sequence[str]
    load: Callable[[Checkpoint, EncodingChoice], Loaded]


def _describe(checkpoint: Checkpoint, choice: EncodingChoice, kind: _Kind) -> MeasuredModel:
    source, weights = checkpoint.source, checkpoint.weights
    parameters = sum(int(np.prod(weights.shape(name))) for name in weights.names())
    try:
        versions = ", ".join(f"{library} {version(library)}" for library in kind.libraries)
    except PackageNotFoundError as error:
        raise MissingExtraError("reference", kind.libraries[0]) from error
    return MeasuredModel(
        name=f"{kind.name}:{source.name}",
        precision="fp32",
        size_bytes=parameters * np.dtype(np.float32).itemsize,
        dimension=checkpoint.dimension,
        recipe=choice.recipe,
        identity=f"{kind.name} {source.weights_sha256} {choice.pooling} {choice.max_tokens} {versions}",
        fingerprint=None,
        load=partial(kind.load, checkpoint, choice),
    )


@dataclass(frozen=True, slots=True)
class _LoadedTorch:
    reference: Reference
    tokenizer: FullTokenizer
    choice: EncodingChoice

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        template = self.choice.recipe.template(side.role, side.task)
        whole = [self.tokenizer.tokenize(text, template) for text in check_texts(texts)]
        ids = [truncate(text, self.choice.max_tokens) for text in whole]
        lengths = np.array([len(row) for row in ids], np.int64)
        cut = np.array([len(text.ids) > len(row) for text, row in zip(whole, ids, strict=True)])
        return Encoded(self.reference.embed(ids), lengths, cut)

    def close(self) -> None:
        """Nothing is held that outlives it."""


def _load_torch(checkpoint: Checkpoint, choice: EncodingChoice) -> Loaded:
    reference = open_reference("torch", checkpoint, choice.pooling)
    with TemporaryDirectory() as scratch:
        path = Path(scratch, TOKENIZER_NAME)
        path.write_bytes(checkpoint.tokenizer)
        return _LoadedTorch(reference, FullTokenizer(path), choice)


class _LoadedSentence:
    def __init__(self, folder: str, choice: EncodingChoice) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError("reference", "sentence-transformers") from error
        self._model = SentenceTransformer(folder, device="cpu", local_files_only=True)
        # Not all folders say what their tokenizer takes; all are to be cut at the same place.
        self._model.max_seq_length = choice.max_tokens
        self._recipe: Recipe = choice.recipe

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        template = self._recipe.template(side.role, side.task)
        written = [template.before + text + template.after for text in check_texts(texts)]
        vectors: NDArray[np.float32] = self._model.encode(
            written, batch_size=_BATCH, normalize_embeddings=True, convert_to_numpy=True
        )
        lengths = np.array([len(self._model.tokenizer(text)["input_ids"]) for text in written], np.int64)
        limit = self._model.max_seq_length
        return Encoded(vectors.astype(np.float32), np.minimum(lengths, limit), lengths > limit)

    def close(self) -> None:
        """Nothing is held that outlives it."""


def _load_sentence(checkpoint: Checkpoint, choice: EncodingChoice) -> Loaded:
    return _LoadedSentence(str(checkpoint.folder), choice)
