"""Texts to token ids, exactly as transformers makes them, and cutting them without touching the template."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import ModelLoadError, TemplateTooLongError
from e5_onnx.recipes import Template

OverflowPolicy = Literal["warn", "error", "truncate", "window"]
TokenizerChoice = Literal["auto", "tokenizers", "tokie"]

# Not str.rstrip()'s own set: it has control characters that are tokens in some vocabularies.
WHITE_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text's token ids, int64, in three parts.

    Attributes:
        head: The opening special token and the template before the text.
        body: The text's own tokens. White space between the template and the text is the text's: most
            tokenizers join it with the word after it.
        tail: The template after the text and the closing special token.
    """

    head: NDArray[np.int64]
    body: NDArray[np.int64]
    tail: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.head) + len(self.body) + len(self.tail)

    @property
    def ids(self) -> NDArray[np.int64]:
        """All of them, int64 [tokens]."""
        return np.concatenate((self.head, self.body, self.tail))


class TextTokenizer(Protocol):
    """A tokenizer with its special tokens, from one library or another."""

    @property
    def name(self) -> str:
        """The library."""

    def tokenize(self, text: str, template: Template) -> TokenizedText:
        """Returns the token ids of a text in its template, of whatever length."""


@contextmanager
def translated_errors(file: str) -> Iterator[None]:
    """Turns whatever a tokenizer library raises into one error that names its file.

    Args:
        file: The file's name.

    Raises:
        ModelLoadError: Instead of the library's error.
    """
    try:
        yield
    except BaseException as error:
        # A Rust panic arrives as PanicException, which is not an Exception and belongs to no module.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelLoadError(file, f"{error}; copy the folder again or export it again") from error


def truncate(text: TokenizedText, limit: int) -> NDArray[np.int64]:
    """Cuts the end of a text's body so that it fits, never the template.

    Without a template after the text this is what transformers does for `truncation=True, max_length=limit`.

    Args:
        text: The text.
        limit: Tokens that the model takes.

    Returns:
        int64 [at most `limit`].

    Raises:
        TemplateTooLongError: If the template leaves no room for a single token, even of an empty text.
    """
    return np.concatenate((text.head, text.body[: room(text, limit)], text.tail))


def room(text: TokenizedText, limit: int) -> int:
    """Returns how many tokens of a text's body fit beside its template.

    Raises:
        TemplateTooLongError: If none does.
    """
    template = len(text.head) + len(text.tail)
    if template >= limit:
        raise TemplateTooLongError(template, limit)
    return limit - template
