"""The longest text that a checkpoint's files allow, by the rule of sentence-transformers."""

from __future__ import annotations

from typing import Any

from e5_onnx_export.checkpoint.base import StatedLength
from e5_onnx_export.checkpoint.tokenizer_settings import TOKENIZER_CONFIG_NAME, TokenizerSettings
from e5_onnx_export.checkpoint.transformer_file import TransformerFile
from e5_onnx_export.errors import CheckpointError


def stated_length(file: TransformerFile, settings: TokenizerSettings) -> StatedLength | None:
    """Returns the first length that is said, or None.

    The tokenizer's option in sentence-transformers' file comes first, then that file's `max_seq_length`, then
    tokenizer_config.json.

    Args:
        file: sentence-transformers' options of the encoder.
        settings: The tokenizer's, with the options of `file` over them.

    Raises:
        CheckpointError: If it is not a positive whole number.
    """
    for name, key, value in (
        (file.name, "model_max_length", file.tokenizer_options.get("model_max_length")),
        (file.name, "max_seq_length", file.max_length),
        (TOKENIZER_CONFIG_NAME, "model_max_length", settings.max_length),
    ):
        if value is not None:
            return StatedLength(_tokens(name, key, value), name)
    return None


def _tokens(name: str, key: str, value: Any) -> int:  # noqa: ANN401 - as the file has it
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or value < 1 or value != value // 1:
        raise CheckpointError(name, f"{key} is {value!r:.80}, not a positive whole number")
    return int(value)
