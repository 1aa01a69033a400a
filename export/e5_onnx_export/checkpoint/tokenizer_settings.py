"""The files beside tokenizer.json that change what transformers makes of a text.

tokenizer_config.json      class, length, lower-casing, accents, added tokens
special_tokens_map.json    special tokens; read where tokenizer_config.json lists no added tokens
added_tokens.json          added tokens; the same
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.checkpoint.tokenizer_classes import (
    CLASS_OF_MODEL,
    CLASSES,
    SLOW_CLASSES,
    TokenizerClass,
)
from e5_onnx_export.errors import CheckpointError

TOKENIZER_CONFIG_NAME: Final = "tokenizer_config.json"
SPECIAL_TOKENS_NAME: Final = "special_tokens_map.json"
ADDED_TOKENS_NAME: Final = "added_tokens.json"

_FAST: Final = "Fast"
# transformers before 4 wrote `max_len`.
_LENGTHS: Final = ("model_max_length", "max_len")


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """The settings in the tokenizer's files.

    Attributes:
        class_name: The class name of transformers' tokenizer.
        kind: The behaviour of that class.
        values: tokenizer_config.json, with sentence-transformers' own options over it.
        special: special_tokens_map.json.
        added: added_tokens.json: ids by token.
    """

    class_name: str
    kind: TokenizerClass
    values: Mapping[str, Any] = field(default_factory=dict)
    special: Mapping[str, Any] = field(default_factory=dict)
    added: Mapping[str, int] = field(default_factory=dict)

    @property
    def max_length(self) -> Any:  # noqa: ANN401 - as the file has it
        """The longest text, in tokens, as the file has it; None where it does not say."""
        return next((self.values[key] for key in _LENGTHS if self.values.get(key) is not None), None)


def read_tokenizer_settings(
    folder: Path, config: Mapping[str, Any], options: Mapping[str, Any]
) -> TokenizerSettings:
    """Reads the files beside a tokenizer.json; each may be missing.

    Args:
        folder: Holds them.
        config: The contents of config.json, which may name the tokenizer's class.
        options: The options that sentence-transformers passes; they override tokenizer_config.json.

    Returns:
        The settings of the files.

    Raises:
        CheckpointError: If a file is damaged, or names a tokenizer of which no tokenizer.json is known to do
            the same.
    """
    values = {**_read(folder, TOKENIZER_CONFIG_NAME), **options}
    named = values.get("tokenizer_class") or config.get("tokenizer_class")
    class_name = named or CLASS_OF_MODEL.get(str(config.get("model_type")))
    return TokenizerSettings(
        class_name=str(class_name),
        kind=_kind(class_name),
        values=values,
        special=_read(folder, SPECIAL_TOKENS_NAME),
        added=_read(folder, ADDED_TOKENS_NAME),
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    return read_json_object(folder / name) if (folder / name).exists() else {}


def _kind(named: object) -> TokenizerClass:
    if not isinstance(named, str):
        raise CheckpointError(TOKENIZER_CONFIG_NAME, f"tokenizer_class is {named!r:.80}, not a name")
    name = named.removesuffix(_FAST)
    if name in CLASSES:
        return CLASSES[name]
    if name in SLOW_CLASSES:
        raise CheckpointError(
            TOKENIZER_CONFIG_NAME,
            f"its tokenizer is a {named}, which is Python code in transformers: no tokenizer.json gives the "
            "same tokens",
        )
    raise CheckpointError(
        TOKENIZER_CONFIG_NAME,
        f"its tokenizer is a {named:.80}, and it is not known what that class does to a tokenizer.json; if "
        "the file alone is right, set tokenizer_class to PreTrainedTokenizerFast",
    )
