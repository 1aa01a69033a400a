"""What the exporter must know of a tokenizer.json, and how it writes one; the runtime reads the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from e5_onnx_export.checkpoint.files import MAX_TOKENIZER_BYTES, read_json
from e5_onnx_export.errors import CheckpointError

# A line's end within a string is written as a backslash and n, so what is found here is never in one.
_INDENTATION: Final = re.compile(rb"\r?\n[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """Attributes of a tokenizer.

    Attributes:
        size: Its largest token id plus one.
        lower_cases: Whether its normaliser turns text into lower case.
    """

    size: int
    lower_cases: bool


def read_tokenizer_facts(path: Path) -> TokenizerFacts:
    """Reads a tokenizer.json without building the tokenizer, which would cost 300 MB for XLM-R's.

    Args:
        path: The file.

    Raises:
        CheckpointError: If it is missing, too large, or not a tokenizer.
    """
    values = read_json(path, MAX_TOKENIZER_BYTES)
    try:
        ids = [*_model_ids(values["model"]), *(token["id"] for token in values.get("added_tokens") or ())]
        largest = max(ids)
        lower_cases = any(_is_lower_casing(step) for step in _steps(values.get("normalizer")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            path.name, f"is not a tokenizer of the `tokenizers` library ({error!r:.80})"
        ) from error
    if not isinstance(largest, int):
        raise CheckpointError(path.name, f"has the token id {largest!r:.80}")
    return TokenizerFacts(size=largest + 1, lower_cases=lower_cases)


def check_tokenizer(path: Path, vocabulary: int) -> None:
    """Refuses a tokenizer that can make ids for which the word table has no row.

    Args:
        path: Its tokenizer.json.
        vocabulary: Rows of the word table.

    Raises:
        CheckpointError: If so, or if the file is missing or damaged.
    """
    size = read_tokenizer_facts(path).size
    if size > vocabulary:
        raise CheckpointError(
            path.name,
            f"has {size} tokens, but the word table only {vocabulary} rows: they are not of the same model",
        )


def compact(content: bytes) -> bytes:
    """Leaves out the lines and indentation of a JSON document: 8 of the 17 MB of XLM-R's tokenizer.

    Strings and numbers stay as they are written, which writing the parsed document anew would not promise.

    Args:
        content: A JSON document in UTF-8.
    """
    return _INDENTATION.sub(b"", content)


def _model_ids(model: Mapping[str, Any]) -> Iterator[int]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, Mapping):
        return iter(vocabulary.values())
    # Unigram: a list of (piece, score), where the place is the id.
    return iter(range(len(vocabulary)))


def _steps(normalizer: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    if normalizer is None:
        return
    if normalizer["type"] == "Sequence":
        for step in normalizer["normalizers"]:
            yield from _steps(step)
    else:
        yield normalizer


def _is_lower_casing(step: Mapping[str, Any]) -> bool:
    return step["type"] == "Lowercase" or (step["type"] == "BertNormalizer" and step.get("lowercase") is True)
