"""What a checkpoint may ask of its tokenizer that the runtime does not do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.checkpoint.tokenizer_settings import TOKENIZER_CONFIG_NAME, TokenizerSettings
from e5_onnx_export.errors import CheckpointError

_MASK: Final = "attention_mask"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The tokenizer, and what is asked of it."""

    tokenizer: Mapping[str, Any]
    values: Mapping[str, Any]
    architecture: Architecture

    def side(self, of: str) -> str:
        """`left` or `right`: tokenizer.json's own where no file beside it says."""
        stored = (self.tokenizer.get(of) or {}).get("direction", "right")
        return str(self.values.get(f"{of}_side") or stored).lower()


# A condition, and what it means.
_REFUSED: Final[tuple[tuple[Callable[[_Asked], bool], str], ...]] = (
    (
        lambda asked: asked.side("truncation") == "left",
        "long texts lose their beginning (truncation_side is left), and the runtime cuts their end: set it "
        "to right if that is as good",
    ),
    (
        lambda asked: asked.side("padding") == "left" and asked.architecture.position_offset == 0,
        "texts are padded on the left (padding_side), which moves the positions of this kind of model, so "
        "that a text's vector depends on the texts beside it: set it to right",
    ),
    (
        lambda asked: bool(asked.values.get("split_special_tokens")),
        "special tokens in a text are read as its words (split_special_tokens), which no tokenizer.json can "
        "say: set it to false",
    ),
    (
        lambda asked: _MASK not in (asked.values.get("model_input_names") or _MASK),
        "the model is given no attention mask (model_input_names), so that a text's vector depends on the "
        "texts beside it: add attention_mask there",
    ),
    (
        lambda asked: bool(asked.values.get("fast_tokenizer_files")),
        "it names tokenizer files for several versions of transformers (fast_tokenizer_files): keep "
        "tokenizer.json alone",
    ),
    (
        lambda asked: (
            asked.architecture.body == "bert" and any(_types(asked.tokenizer.get("post_processor")))
        ),
        "its texts have token types other than 0, and the graph has type 0 for all tokens",
    ),
)


def check_limits(
    tokenizer: Mapping[str, Any], settings: TokenizerSettings, architecture: Architecture
) -> None:
    """Refuses a tokenizer that does what the runtime does not.

    Args:
        tokenizer: The contents of tokenizer.json.
        settings: The settings of the files next to it.
        architecture: The encoder's shape.

    Raises:
        CheckpointError: With what it asks for, and what to do.
    """
    asked = _Asked(tokenizer, settings.values, architecture)
    for is_refused, sentence in _REFUSED:
        if is_refused(asked):
            raise CheckpointError(TOKENIZER_CONFIG_NAME, sentence)


def _types(processor: Mapping[str, Any] | None) -> list[int]:
    """Token types of a single text."""
    if processor is None:
        return []
    if processor["type"] == "Sequence":
        return [found for step in processor["processors"] for found in _types(step)]
    pieces = processor["single"] if processor["type"] == "TemplateProcessing" else []
    return [next(iter(piece.values()))["type_id"] for piece in pieces]
