"""Texts of given lengths, from real sentences or seeded words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from e5_onnx_perf.accuracy.data_folder import DataFolder
from e5_onnx_perf.accuracy.languages import find_language
from e5_onnx_perf.accuracy.tatoeba import read_translations

# Fourteen languages in nine scripts; Latin ones as they are spread on the web, more or less.
LANGUAGES: Final = ("de", "fr", "es", "ru", "zh", "ja", "ar", "hi", "tr", "vi", "ko", "pl", "pt", "th")
_WORDS: Final = 30_000


@dataclass(frozen=True, slots=True)
class TextMaker:
    """Makes texts of a number of tokens.

    Attributes:
        tokenizer: The checkpoint's own, without truncation and padding.
        sentences: The sentences that texts are made of, in turn.
    """

    tokenizer: Tokenizer
    sentences: Sequence[str]

    def make(self, lengths: Sequence[int], seed: int) -> list[str]:
        """One text for each length in tokens, special tokens included, as near as words allow."""
        generator = np.random.default_rng(seed)
        stream = self._stream(int(generator.integers(len(self.sentences))))
        return [self._text(length, stream) for length in lengths]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts))]

    def _text(self, length: int, stream: Iterator[str]) -> str:
        text = next(stream)
        while len(self.tokenizer.encode(text).ids) < length:
            text = f"{text} {next(stream)}"
        # The end of the last token that still fits; the closing token needs one place.
        end = self.tokenizer.encode(text).offsets[length - 2][1]
        return text[:end]

    def _stream(self, start: int) -> Iterator[str]:
        return itertools.islice(itertools.cycle(self.sentences), start, None)


def text_maker(tokenizer: Path, data: Path | None) -> TextMaker:
    """Makes texts of Tatoeba's sentences, or of words drawn from the tokenizer's vocabulary.

    Args:
        tokenizer: tokenizer.json.
        data: A folder that holds tatoeba/, or None for seeded words.

    Raises:
        DataError: If a file of the data is missing, damaged or malformed.
    """
    opened = Tokenizer.from_file(str(tokenizer))
    opened.no_truncation()
    opened.no_padding()
    return TextMaker(opened, _seeded(opened) if data is None else _real(data))


def _real(data: Path) -> list[str]:
    folder = DataFolder(data)
    columns = [read_translations(folder, find_language(code)).other for code in LANGUAGES]
    # Language after language, so that every text of several sentences holds several of them.
    return [sentence for row in itertools.zip_longest(*columns) for sentence in row if sentence]


def _seeded(tokenizer: Tokenizer) -> list[str]:
    words = sorted(word.removeprefix("\u2581") for word in tokenizer.get_vocab() if _is_word(word))
    drawn = np.random.default_rng(0).choice(words, _WORDS)
    return [" ".join(drawn[start : start + 8]) for start in range(0, _WORDS, 8)]


_is_word: Callable[[str], bool] = lambda word: word.removeprefix("\u2581").isalpha()  # noqa: E731
