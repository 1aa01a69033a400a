"""What a request asks of its vectors: obeyed, or refused with a sentence. Nothing is ignored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.serve.errors import BadInputError
from e5_onnx.serve.wire import EmbedFields, Number, RoleFields, Switch
from e5_onnx.tokens.tokenization import OverflowPolicy

Encoding = Literal["float", "base64"]

# Cohere's and NVIDIA's words beside yes and no. START would cut the beginning.
_CUTS: Final[dict[object, OverflowPolicy]] = {
    True: "truncate",
    "END": "truncate",
    False: "error",
    "NONE": "error",
}
_ENCODINGS: Final[dict[str | None, Encoding]] = {None: "float", "float": "float", "base64": "base64"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How vectors are to be made and written.

    Attributes:
        overflow: How texts beyond the token limit are treated.
        encoding: How a vector is written.
    """

    overflow: OverflowPolicy
    encoding: Encoding


def read_wanted(asked: EmbedFields, manifest: Manifest, default: OverflowPolicy) -> Wanted:
    """Reads the options of a request.

    Args:
        asked: The request.
        manifest: The manifest of the model.
        default: The truncation policy that the operator chose.

    Raises:
        BadInputError: For an option that is not offered, or two that contradict each other.
    """
    check_special_tokens(asked)
    if asked.normalize not in (None, True):
        raise BadInputError("vectors have length 1: leave normalize out", param="normalize")
    if asked.dimensions is not None and not _is(asked.dimensions, manifest.dimension):
        raise BadInputError(
            f"this model has {manifest.dimension} dimensions: leave dimensions out", param="dimensions"
        )
    if asked.truncation_direction is not None and asked.truncation_direction.lower() != "right":
        raise BadInputError(
            "long texts are cut at their end: leave truncation_direction out, or cut them yourself",
            param="truncation_direction",
        )
    if asked.encoding_format not in _ENCODINGS:
        raise BadInputError("encoding_format is float or base64", param="encoding_format")
    return Wanted(_overflow(asked, manifest.max_tokens) or default, _ENCODINGS[asked.encoding_format])


def check_special_tokens(asked: RoleFields) -> None:
    """Refuses texts without the model's special tokens.

    Raises:
        BadInputError: If they are asked for.
    """
    if asked.add_special_tokens not in (None, True):
        raise BadInputError(
            "the model's special tokens are always added: leave add_special_tokens out",
            param="add_special_tokens",
        )


def _overflow(asked: EmbedFields, limit: int) -> OverflowPolicy | None:
    said = {
        name: _cut(value, name)
        for name, value in (("truncate", asked.truncate), ("truncation", asked.truncation))
        if value is not None
    }
    if asked.truncate_prompt_tokens is not None:
        said["truncate_prompt_tokens"] = _cut_to(asked.truncate_prompt_tokens, limit)
    if len(set(said.values())) > 1:
        raise BadInputError(f"{' and '.join(said)} contradict each other: send one of them", param="truncate")
    return next(iter(said.values()), None)


def _cut(value: Switch, name: str) -> OverflowPolicy:
    word = value.upper() if isinstance(value, str) else value
    if word not in _CUTS:
        raise BadInputError(
            f"{name} is true or END to cut long texts at their end, false or NONE to refuse them", param=name
        )
    return _CUTS[word]


def _cut_to(value: Number, limit: int) -> OverflowPolicy:
    if not _is(value, -1) and not _is(value, limit):
        raise BadInputError(
            f"texts are cut to the model's {limit} tokens: leave truncate_prompt_tokens out",
            param="truncate_prompt_tokens",
        )
    return "truncate"


def _is(value: Number, own: int) -> bool:
    """Whether a number, however it is written, is one's own."""
    return value == own or (isinstance(value, str) and value.strip() == str(own))
