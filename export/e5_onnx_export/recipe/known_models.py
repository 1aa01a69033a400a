"""Models whose authors say how they are to be used, a row for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from e5_onnx.model_folder.manifest import Pooling
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, Recipe
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.checkpoint.checkpoint_folder import CONFIG_NAME
from e5_onnx_export.checkpoint.files import read_json_object


@dataclass(frozen=True, slots=True)
class KnownModel:
    """How a model is to be used, from its card."""

    recipe: Recipe
    pooling: Pooling


_PREFIX: Final = KnownModel(E5_PREFIX, "mean")
_MEAN: Final = KnownModel(PLAIN, "mean")
_BGE: Final = KnownModel(
    Recipe("custom", "Represent this sentence for searching relevant passages: {text}", "{text}"), "cls"
)

KNOWN_MODELS: Final[dict[str, KnownModel]] = {
    "intfloat/multilingual-e5-large-instruct": KnownModel(E5_INSTRUCT, "mean"),
    "intfloat/multilingual-e5-small": _PREFIX,
    "intfloat/multilingual-e5-base": _PREFIX,
    "intfloat/multilingual-e5-large": _PREFIX,
    "intfloat/e5-small": _PREFIX,
    "intfloat/e5-base": _PREFIX,
    "intfloat/e5-large": _PREFIX,
    "intfloat/e5-small-v2": _PREFIX,
    "intfloat/e5-base-v2": _PREFIX,
    "intfloat/e5-large-v2": _PREFIX,
    "sentence-transformers/all-MiniLM-L6-v2": _MEAN,
    "sentence-transformers/all-MiniLM-L12-v2": _MEAN,
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": _MEAN,
    "BAAI/bge-small-en-v1.5": _BGE,
    "BAAI/bge-base-en-v1.5": _BGE,
    "BAAI/bge-large-en-v1.5": _BGE,
    "BAAI/bge-m3": KnownModel(PLAIN, "cls"),
}
_BY_FOLDER_NAME: Final = {name.rpartition("/")[2]: name for name in KNOWN_MODELS}


@dataclass(frozen=True, slots=True)
class Recognition:
    """A known model, and on what ground it is taken for that one where its full name does not say so."""

    name: str
    model: KnownModel
    ground: str | None = None


def recognise_model(checkpoint: Checkpoint) -> Recognition | None:
    """Looks a checkpoint up among the known models.

    A model on the hub is known by its full name only: under another name it is another model, whatever it was
    made from. A local folder may also be known by its own name, or by the name that its config carries.

    Args:
        checkpoint: The checkpoint.

    Returns:
        The known model, or None.

    Raises:
        CheckpointError: If config.json cannot be read.
    """
    name = checkpoint.source.name
    if name in KNOWN_MODELS:
        return Recognition(name, KNOWN_MODELS[name])
    if checkpoint.encoder_folder is None or checkpoint.source.revision is not None:
        return None
    if name in _BY_FOLDER_NAME:
        known = _BY_FOLDER_NAME[name]
        return Recognition(known, KNOWN_MODELS[known], "the folder has its name")
    made_from = read_json_object(checkpoint.encoder_folder / CONFIG_NAME).get("_name_or_path")
    if isinstance(made_from, str) and made_from in KNOWN_MODELS:
        return Recognition(made_from, KNOWN_MODELS[made_from], f"{CONFIG_NAME} names it")
    return None
