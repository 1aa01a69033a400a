"""What the `tokenizers` library does when tokens are added, without building the tokenizer.

It keeps the options of a token that were written last, and seeks each token in plain or in normalised text
as was first said, separately for special tokens and others (added_vocabulary.rs of tokenizers 0.22).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tokenizers import AddedToken

from e5_onnx_export.checkpoint.tokenizer_settings import TOKENIZER_CONFIG_NAME
from e5_onnx_export.errors import CheckpointError

TokenRow = dict[str, Any]

_OPTIONS: Final = ("single_word", "lstrip", "rstrip", "normalized", "special")


def read_tokens(rows: Iterable[Mapping[str, Any]]) -> dict[int, AddedToken]:
    """Returns the added tokens of a tokenizer.json by id.

    Args:
        rows: Its `added_tokens`.
    """
    return {
        row["id"]: AddedToken(row["content"], **{key: row[key] for key in _OPTIONS if key in row})
        for row in rows
    }


def add_tokens(
    model: Mapping[str, Any], rows: Sequence[TokenRow], tokens: Sequence[AddedToken]
) -> list[TokenRow]:
    """Adds tokens.

    Args:
        model: The `model` of a tokenizer.json.
        rows: Its `added_tokens`.
        tokens: The added tokens, in this order.

    Returns:
        The new `added_tokens`; those that stay as they were are the same objects.

    Raises:
        CheckpointError: If a token is then sought in plain and in normalised text, which no file can say.
    """
    present = list(read_tokens(rows).values())
    added = {row["content"]: row for row in rows}
    forms = _Forms()
    forms.note(present, before=())
    for token in tokens:
        if token.content and token not in present:
            index = added[token.content]["id"] if token.content in added else _id(model, token, added)
            added[token.content] = {"id": index, **_row(token)}
    forms.note(tokens, before=present)
    return [_in_form(row, forms) for row in added.values()]


@dataclass(slots=True)
class _Forms:
    """By token, whether it is sought in normalised text: once as a special token, once as another."""

    special: dict[str, bool] = field(default_factory=dict)
    others: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))

    def note(self, tokens: Sequence[AddedToken], *, before: Sequence[AddedToken]) -> None:
        for token in tokens:
            if token.special and token.content:
                self.special.setdefault(token.content, token.normalized)
        for token in tokens:
            if token.content not in self.special and token not in before:
                self.others[token.content].append(token.normalized)

    def of(self, content: str) -> set[bool]:
        first = [self.special[content]] if content in self.special else []
        return {*first, *self.others[content]}


def _in_form(row: TokenRow, forms: _Forms) -> TokenRow:
    found = forms.of(row["content"])
    if len(found) > 1:
        raise CheckpointError(
            TOKENIZER_CONFIG_NAME,
            f"the added token {row['content']!r:.80} is sought in plain and in normalised text, which no "
            "tokenizer.json can say: give it one `normalized` in all files",
        )
    (normalized,) = found
    return row if row.get("normalized", normalized) == normalized else {**row, "normalized": normalized}


def _row(token: AddedToken) -> TokenRow:
    return {"content": token.content, **{key: getattr(token, key) for key in _OPTIONS}}


def _id(model: Mapping[str, Any], token: AddedToken, added: Mapping[str, TokenRow]) -> int:
    """A new token's id: its place in the vocabulary, else one behind all others."""
    words = model["vocab"]
    # Unigram: a list of (piece, score), where the place is the id.
    pieces = words if isinstance(words, Mapping) else {row[0]: at for at, row in enumerate(words)}
    behind = max([len(pieces), *(row["id"] + 1 for row in added.values())])
    found: int = pieces.get(token.content, behind)
    return found
