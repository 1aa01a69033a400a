"""Long documents as overlapping windows, and windows back to one vector."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.tokens.tokenization import TokenizedText, room

# An eighth of a window is seen twice: a sentence cut by one window stands whole in the next.
_OVERLAP: Final = 8


def split_windows(text: TokenizedText, limit: int) -> list[NDArray[np.int64]]:
    """Cuts the body of a text into windows, each with the whole template around it.

    Args:
        text: The text.
        limit: Tokens that the model takes.

    Returns:
        Token ids of each window; together they hold every token of the body.

    Raises:
        TemplateTooLongError: If the template leaves no room for a single token.
    """
    size = room(text, limit)
    stride = size - size // _OVERLAP
    starts = range(0, max(1, len(text.body) - (size - stride)), stride)
    return [np.concatenate([text.head, text.body[start : start + size], text.tail]) for start in starts]


def merge_windows(vectors: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """Returns the length-weighted mean of window vectors, normalised again.

    Args:
        vectors: float32 [windows, dimension], each of length 1.
        lengths: int64 [windows], tokens of each.

    Returns:
        float32 [dimension] of length 1.
    """
    mean = (vectors * (lengths / lengths.sum())[:, None]).sum(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)
