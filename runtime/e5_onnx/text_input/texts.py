"""What a caller passes as texts: any iterable of str, read once, or one str. Anything else is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from e5_onnx.errors import LoneSurrogateError, NotTextsError, TextTypeError

TextOrTexts = str | Iterable[str]

# Iterables that give something else than their texts: characters, numbers, or keys.
_NOT_TEXTS = (str, bytes, bytearray, memoryview, Mapping)


def each_text(texts: Iterable[str]) -> Iterator[str]:
    """Starts to read texts, whose types are not looked at yet.

    Args:
        texts: The texts that the caller passed; not one str.

    Raises:
        NotTextsError: If it is no iterable, or one that gives something else than its texts.
    """
    # A data frame or a table gives the names of its columns, or the columns.
    if isinstance(texts, _NOT_TEXTS) or hasattr(type(texts), "columns"):
        raise NotTextsError(type(texts))
    try:
        return iter(texts)
    except TypeError:
        raise NotTextsError(type(texts)) from None


def check_texts(texts: Iterable[str], *, first_index: int = 0) -> list[str]:
    """Reads texts, and refuses what is not a text.

    Empty and blank strings, NUL and control characters are texts like any other.

    Args:
        texts: The texts that the caller passed; not one str.
        first_index: The number of the first text, for messages.

    Returns:
        The texts.

    Raises:
        NotTextsError: If it is no iterable of texts.
        TextTypeError: If one of them is not a str.
        LoneSurrogateError: If one of them is not valid Unicode.
    """
    return [_checked(text, index) for index, text in enumerate(each_text(texts), first_index)]


def _checked(text: object, index: int) -> str:
    # An element of an Arrow array is a scalar that knows its Python value.
    value = text.as_py() if hasattr(text, "as_py") else text
    if not isinstance(value, str):
        raise TextTypeError(index, type(value))
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LoneSurrogateError(index, error.start) from None
    return value
