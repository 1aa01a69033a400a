"""A checkpoint's tokenizer.json as transformers uses it; the runtime reads nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.checkpoint.added_tokens import tokens_to_add
from e5_onnx_export.checkpoint.added_vocabulary import add_tokens, read_tokens
from e5_onnx_export.checkpoint.files import MAX_TOKENIZER_BYTES, read_json
from e5_onnx_export.checkpoint.tokenizer_limits import check_limits
from e5_onnx_export.checkpoint.tokenizer_settings import TOKENIZER_CONFIG_NAME, TokenizerSettings
from e5_onnx_export.errors import CheckpointError

# A line's end within a string is written as a backslash and n, so what is found here is never in one.
_INDENTATION: Final = re.compile(rb"\r?\n[ \t\r\n]*")


def read_tokenizer(
    path: Path, settings: TokenizerSettings, *, architecture: Architecture, lower_case: bool = False
) -> bytes:
    """Reads a tokenizer.json and works the files beside it into it, as transformers does when it opens them.

    The tokenizer itself is not built, which would cost 300 MB for XLM-R's.

    Args:
        path: A tokenizer.json.
        settings: The settings of the files next to it.
        architecture: The encoder's shape.
        lower_case: Whether sentence-transformers is to make texts lower case first.

    Returns:
        The file's own bytes where nothing changes, else a JSON document in UTF-8.

    Raises:
        CheckpointError: If a file is corrupt, a token has no row in the embedding matrix, or the tokenizer
            does what the runtime does not.
    """
    tokenizer = read_json(path, MAX_TOKENIZER_BYTES)
    try:
        check_limits(tokenizer, settings, architecture)
        changed = _add_tokens(tokenizer, settings)
        changed |= _set_prefix_space(tokenizer, settings)
        normalized = settings.kind.sets_normalizer and _set_normalizer(tokenizer, settings)
        normalized |= lower_case and _set_lower_case(tokenizer)
        if normalized:
            _check_normalized_tokens(tokenizer["added_tokens"])
        _check_ids(tokenizer, settings, name=path.name, rows=architecture.vocabulary)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            path.name,
            f"or a file beside it is not one of the `tokenizers` library and transformers ({error!r:.80})",
        ) from error
    if not (changed or normalized):
        return path.read_bytes()
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()


def compact(content: bytes) -> bytes:
    """Leaves out the lines and indentation of a JSON document: 8 of the 17 MB of XLM-R's tokenizer.

    Strings and numbers stay as they are written, which a parsed and rewritten document would not guarantee.

    Args:
        content: A JSON document in UTF-8.
    """
    return _INDENTATION.sub(b"", content)


def _add_tokens(tokenizer: dict[str, Any], settings: TokenizerSettings) -> bool:
    before = list(tokenizer.get("added_tokens") or ())
    new = tokens_to_add(settings, read_tokens(before))
    tokenizer["added_tokens"] = add_tokens(tokenizer["model"], before, new)
    return bool(tokenizer["added_tokens"] != before)


def _set_prefix_space(tokenizer: dict[str, Any], settings: TokenizerSettings) -> bool:
    step = tokenizer.get("pre_tokenizer")
    if step is None or step["type"] != "ByteLevel":
        return False
    return _set(step, {"add_prefix_space": bool(settings.values.get("add_prefix_space", False))})


def _set_normalizer(tokenizer: dict[str, Any], settings: TokenizerSettings) -> bool:
    normalizer = tokenizer.get("normalizer")
    if normalizer is None or normalizer["type"] != "BertNormalizer":
        return False
    values = settings.values
    strip = values.get("strip_accents")
    return _set(
        normalizer,
        {
            "lowercase": bool(values.get("do_lower_case", True)),
            "strip_accents": None if strip is None else bool(strip),
            "handle_chinese_chars": bool(values.get("tokenize_chinese_chars", True)),
        },
    )


def _set(step: dict[str, Any], values: Mapping[str, Any]) -> bool:
    changed = any(step.get(key) != value for key, value in values.items())
    step.update(values)
    return changed


def _set_lower_case(tokenizer: dict[str, Any]) -> bool:
    """As sentence-transformers does for `do_lower_case`: before all else, unless such a step is there."""
    normalizer = tokenizer.get("normalizer")
    steps = [] if normalizer is None else [normalizer]
    if normalizer is not None and normalizer["type"] == "Sequence":
        steps = normalizer["normalizers"]
    if any(step["type"] == "Lowercase" for step in steps):
        return False
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *steps]}
    return True


def _check_normalized_tokens(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuses tokens that are sought in a form that the normaliser no longer makes.

    transformers 4 and sentence-transformers change the normaliser when the tokens are there already; the
    library goes on to look for them as the old normaliser wrote them.
    """
    for row in rows:
        content = row["content"]
        if row.get("normalized") and not (content.isascii() and content == content.lower()):
            raise CheckpointError(
                TOKENIZER_CONFIG_NAME,
                f"it changes the normalisation (lower case, accents), and the added token {content!r:.80} is "
                "sought in normalised text: no tokenizer.json says which form of it is meant; set "
                "`normalized` of that token to false",
            )


def _check_ids(tokenizer: Mapping[str, Any], settings: TokenizerSettings, *, name: str, rows: int) -> None:
    """Refuses a tokenizer that can make ids for which the token embedding matrix has no row."""
    words = list(_model_ids(tokenizer["model"]))
    ids = [*words, *(row["id"] for row in tokenizer["added_tokens"])]
    if not words:
        raise CheckpointError(name, "has no vocabulary")
    if not all(isinstance(index, int) for index in ids):
        raise CheckpointError(name, "has a token whose id is not a number")
    size = max(ids) + 1
    if size > rows:
        last = [row["content"] for row in tokenizer["added_tokens"] if row["id"] == size - 1]
        named = f" (the last is {last[0]!r:.80})" if last else ""
        raise CheckpointError(
            name,
            f"has {size} tokens{named} as a {settings.class_name}, but the token embedding matrix has only "
            f"{rows} rows: it was not resized for an added token, "
            f"{TOKENIZER_CONFIG_NAME} is missing or names the "
            "wrong class, or the file is another model's",
        )


def _model_ids(model: Mapping[str, Any]) -> Iterator[int]:
    vocabulary = model["vocab"]
    return iter(vocabulary.values() if isinstance(vocabulary, Mapping) else range(len(vocabulary)))
