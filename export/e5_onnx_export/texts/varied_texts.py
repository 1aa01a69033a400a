"""Strings to try a tokenizer on that no person would write: deterministic, of every script and of none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import numpy as np

from e5_onnx.tokens.lean_tokenizer import DOUBTFUL

# First and last code points of blocks of one script or kind.
_BLOCKS: Final[tuple[tuple[int, int], ...]] = (
    (0x0001, 0x001F),  # control characters
    (0x0020, 0x007E),
    (0x007F, 0x00A0),  # control characters
    (0x00A1, 0x024F),  # Latin
    (0x0250, 0x02FF),
    (0x0300, 0x036F),  # combining marks
    (0x0370, 0x03FF),  # Greek
    (0x0400, 0x052F),  # Cyrillic
    (0x0530, 0x058F),  # Armenian
    (0x0591, 0x05F4),  # Hebrew
    (0x0600, 0x06FF),  # Arabic
    (0x0700, 0x08FF),
    (0x0900, 0x0DFF),  # Indic
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x10A0, 0x10FF),  # Georgian
    (0x1100, 0x11FF),  # Jamo
    (0x1200, 0x13FF),  # Ethiopic, Cherokee
    (0x1400, 0x1FFF),
    (0x2000, 0x206F),  # spaces, joiners, direction marks
    (0x2070, 0x2BFF),  # symbols
    (0x2C00, 0x2FFF),
    (0x3000, 0x30FF),  # kana
    (0x3100, 0x33FF),
    (0x3400, 0x9FFF),  # Han
    (0xA000, 0xABFF),
    (0xAC00, 0xD7A3),  # Hangul
    (0xE000, 0xF8FF),  # private use
    (0xF900, 0xFAFF),
    (0xFB00, 0xFDFF),  # ligatures
    (0xFE00, 0xFE6F),  # variation selectors
    (0xFE70, 0xFEFF),
    (0xFF00, 0xFFFF),  # full width
    (0x10000, 0x1F2FF),
    (0x1F300, 0x1FAFF),  # emoji
    (0x20000, 0x323AF),  # Han
    (0xE0000, 0xE01EF),  # tags, variation selectors
    (0x10FFF0, 0x10FFFF),
)
_PIECES: Final = (
    *("<s>", "</s>", "<pad>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "</", "s>"),
    *("▁", "##", " ", "  ", "     ", "\n", "\r\n", "\t", "\x00", "\x0b", "\x1a", "\x85", "\u00a0", "\u3000"),
    *("\u00ad", "\u200b", "\u200d", "\u2060", "\ufe0f", "\ufeff", "\ufffd", "e\u0301", "\u0301", "\u0327"),
    *("ß", "İ", "ǅ", "ﬁ", "①", "㍿", "Ａ", "ｶﾞ", "각", "\u1100\u1161\u11a8", "क्षि", "กำ", "لا", "ﷺ"),
    *("👨‍👩‍👧", "🇫🇷", "👍🏽", "1️⃣", "the ", "hello", "query: ", "Instruct: ", "https://a.b/c?d=e", "3.14"),
)
_LENGTHS: Final = (1, 1, 2, 3, 5, 8, 13, 30)
_WORD_LENGTHS: Final = (100, 300, 1000)
_LONG_WORD_EVERY: Final = 100
_LONG_TEXT: Final = 20_000
_LONG_TEXT_EVERY: Final = 2_000

_SURROGATES: Final = range(0xD800, 0xE000)
# Planes 0 and 1, the compatibility ideographs and the tags; what is left out is plain Han and private use.
_CHARACTERS: Final = (range(0x20000), range(0x2F800, 0x2FA20), range(0xE0000, 0xE1000))
# Alone, in a word, and beside accents: SentencePiece's normaliser looks at grapheme clusters.
_CONTEXTS: Final = ("{}", "a{}b", "e\u0301{}", "{}e\u0301", "\u00a0{}")
_CHARACTERS_A_TEXT: Final = 64
_ALONE: Final = 0x3000

_T = TypeVar("_T")
_Random = np.random.Generator


def varied_texts(sentences: Sequence[str], count: int) -> Iterator[str]:
    """Yields strings, the same ones every time.

    Every fifth is of one block of Unicode; others mix blocks, special tokens, emoji, control characters,
    white space and pieces of sentences. One in a hundred is a word of up to a thousand characters, and one in
    two thousand a text of more than twenty thousand.

    Args:
        sentences: Ordinary text to cut up.
        count: How many.
    """
    random = np.random.default_rng(0)
    for index in range(count):
        if index % _LONG_TEXT_EVERY == 0:
            yield _long_text(random, sentences)
        elif index % _LONG_WORD_EVERY == 0:
            yield _characters(random, [_pick(random, _BLOCKS)], _pick(random, _WORD_LENGTHS))
        else:
            yield _KINDS[index % len(_KINDS)](random, sentences)


def every_character() -> Iterator[str]:
    """Yields texts that hold every character but rare Han and private use, each in several surroundings."""
    points = (point for points in _CHARACTERS for point in points if point not in _SURROGATES)
    characters = [char for char in map(chr, points) if not DOUBTFUL.match(char)]
    for context in _CONTEXTS:
        for start in range(0, len(characters), _CHARACTERS_A_TEXT):
            yield " ".join(map(context.format, characters[start : start + _CHARACTERS_A_TEXT]))
    # A text of one character is a case of its own where the normaliser leaves it out.
    yield from characters[:_ALONE]


def _pick(random: _Random, items: Sequence[_T]) -> _T:
    return items[int(random.integers(len(items)))]


def _characters(random: _Random, blocks: Sequence[tuple[int, int]], count: int) -> str:
    return "".join(chr(random.integers(*_pick(random, blocks), endpoint=True)) for _ in range(count))


def _one_block(random: _Random, _: Sequence[str]) -> str:
    return _characters(random, [_pick(random, _BLOCKS)], _pick(random, _LENGTHS))


def _many_blocks(random: _Random, _: Sequence[str]) -> str:
    return _characters(random, _BLOCKS, _pick(random, _LENGTHS))


def _pieces(random: _Random, _: Sequence[str]) -> str:
    return "".join(_pick(random, _PIECES) for _ in range(_pick(random, _LENGTHS)))


def _pieces_in_text(random: _Random, sentences: Sequence[str]) -> str:
    return "".join(_pick(random, _FRAGMENTS)(random, sentences) for _ in range(_pick(random, _LENGTHS)))


def _sentence(random: _Random, sentences: Sequence[str]) -> str:
    """A stretch of one sentence and the whole of another."""
    start = int(random.integers(20))
    return (
        _pick(random, sentences)[start : start + 80]
        + _pick(random, ("", " ", "\n"))
        + _pick(random, sentences)
    )


def _long_text(random: _Random, sentences: Sequence[str]) -> str:
    text = ""
    while len(text) < _LONG_TEXT:
        text += " " + _pick(random, _KINDS)(random, sentences)
    return text


def _piece(random: _Random, _: Sequence[str]) -> str:
    return _pick(random, _PIECES)


def _character(random: _Random, _: Sequence[str]) -> str:
    return _characters(random, _BLOCKS, 1)


def _words(random: _Random, sentences: Sequence[str]) -> str:
    return _pick(random, sentences)[: int(random.integers(20))]


_FRAGMENTS: Final = (_piece, _character, _words)
_KINDS: Final = (_one_block, _many_blocks, _pieces, _pieces_in_text, _sentence)
