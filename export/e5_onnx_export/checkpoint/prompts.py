"""config_sentence_transformers.json: what sentence-transformers writes before a query and a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.errors import CheckpointError, UnsupportedModelError

PROMPTS_NAME: Final = "config_sentence_transformers.json"

# What encode_query and encode_document use. encode_document also looks for `passage` and `corpus`, but never
# gets there: sentence-transformers 5 and later give every model a `document`, empty where the file has none.
_QUERY: Final = "query"
_DOCUMENT: Final = "document"
_DENSE: Final = (None, "SentenceTransformer")


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a model.

    Attributes:
        query: The string that encode_query writes before a text.
        document: The string that encode_document writes before a text.
        default_name: The prompt that encode, which is told no role, writes before a text.
        others: Prompts that neither role takes, by name.
        is_read: Whether sentence-transformers reads the file: without modules.json it does not.
    """

    query: str = ""
    document: str = ""
    default_name: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    is_read: bool = True


def read_prompts(folder: Path, source: str, *, is_read: bool) -> Prompts | None:
    """Reads the prompts.

    Args:
        folder: A checkpoint.
        source: Its name, for messages.
        is_read: Whether there is a modules.json.

    Returns:
        The prompts; None without the file.

    Raises:
        UnsupportedModelError: If the file is that of another kind of model, or asks for shorter vectors.
        CheckpointError: If it is damaged.
    """
    if not (folder / PROMPTS_NAME).exists():
        return None
    values = read_json_object(folder / PROMPTS_NAME)
    prompts = _prompts(values)
    if not is_read:
        return Prompts(others=_written(prompts), is_read=False)
    _check_kind(values, source)
    default = values.get("default_prompt_name")
    if default is not None and default not in (_QUERY, _DOCUMENT, *prompts):
        names = ", ".join(prompts) or "none"
        raise CheckpointError(
            PROMPTS_NAME, f"default_prompt_name is {default!r:.80}, which is not among its prompts ({names})"
        )
    return Prompts(
        query=prompts.pop(_QUERY, ""),
        document=prompts.pop(_DOCUMENT, ""),
        default_name=default,
        others=_written(prompts),
    )


def _prompts(values: Mapping[str, Any]) -> dict[str, str]:
    found = values.get("prompts") or {}
    if not isinstance(found, dict) or not all(isinstance(text, str | None) for text in found.values()):
        raise CheckpointError(PROMPTS_NAME, f"prompts is {found!r:.80}, not an object of texts")
    return {name: text or "" for name, text in found.items()}


def _written(prompts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in prompts.items() if text}


def _check_kind(values: Mapping[str, Any], source: str) -> None:
    kind = values.get("model_type")
    if kind not in _DENSE:
        raise UnsupportedModelError(
            source,
            f"it is a {kind!s:.80} ({PROMPTS_NAME}), not a SentenceTransformer, which makes dense vectors",
        )
    cut = values.get("truncate_dim")
    if cut is not None:
        raise UnsupportedModelError(
            source,
            f"{PROMPTS_NAME} cuts its vectors to {cut!r:.80} numbers (truncate_dim), and the graph gives "
            "whole ones: leave it out there, and cut vectors after embedding",
        )
