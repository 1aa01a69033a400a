"""Texts to rows of token ids that fit the model, by the caller's overflow policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import OptionError, TextTooLongError
from e5_onnx.recipes import Role
from e5_onnx.tokens.tokenization import OverflowPolicy, TokenizedText, truncate
from e5_onnx.tokens.windows import split_windows

POLICIES: Final[tuple[OverflowPolicy, ...]] = get_args(OverflowPolicy)


@dataclass(frozen=True, slots=True)
class TokenRows:
    """The token sequences for the model to run.

    Attributes:
        ids: Token ids of each row, none longer than the model takes.
        first: For each text its first row, and at the end the number of rows.
        tokens: int64 [texts], before cutting.
        truncated: bool [texts].
    """

    ids: list[NDArray[np.int64]]
    first: list[int]
    tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]


def check_policy(policy: str, role: Role) -> None:
    """Refuses an unknown policy, and windows for a query.

    Raises:
        OptionError: Either of these.
    """
    if policy not in POLICIES:
        raise OptionError("overflow", policy, f"one of {', '.join(POLICIES)}")
    if policy == "window" and role == "query":
        raise OptionError(
            "overflow", policy, "warn, error or truncate for a query: windows are for documents"
        )


def fit(
    texts: Sequence[TokenizedText], limit: int, policy: OverflowPolicy, *, first_index: int = 0
) -> TokenRows:
    """Applies a policy.

    Args:
        texts: The tokenised texts.
        limit: Tokens that the model takes.
        policy: The truncation policy for longer texts.
        first_index: The number of the first text, for messages.

    Returns:
        The rows.

    Raises:
        TextTooLongError: Under `error`, for the first text that is too long.
        TemplateTooLongError: If the template alone leaves no room for the text.
    """
    tokens = np.array([len(text) for text in texts], np.int64)
    long = tokens > limit
    if policy == "error" and long.any():
        index = int(long.argmax())
        raise TextTooLongError(first_index + index, int(tokens[index]), limit)
    ids: list[NDArray[np.int64]] = []
    first = [0]
    for text in texts:
        ids.extend(split_windows(text, limit) if policy == "window" else [truncate(text, limit)])
        first.append(len(ids))
    return TokenRows(ids, first, tokens, np.zeros_like(long) if policy == "window" else long)
