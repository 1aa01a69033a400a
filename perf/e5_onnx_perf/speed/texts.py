"""Texts of given lengths, from real sentences or seeded words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from e5_onnx_export.texts import calibration_texts, held_out_texts, parity_texts
from e5_onnx_perf.accuracy.data_folder import DataFolder
from e5_onnx_perf.accuracy.languages import find_language
from e5_onnx_perf.accuracy.stsb import LANGUAGES as STS_LANGUAGES
from e5_onnx_perf.accuracy.stsb import read_pairs
from e5_onnx_perf.accuracy.tatoeba import read_translations
from e5_onnx_perf.errors import DataError

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

    def make_fresh(self, lengths: Sequence[int], sentences: Iterator[str], seen: set[str]) -> list[str]:
        """The same of sentences that go on, leaving out each text that was there before."""
        made = []
        for length in lengths:
            text = next(found for found in self._texts(length, sentences) if found not in seen)
            seen.add(text)
            made.append(text)
        return made

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(encoding.ids) for encoding in self.tokenizer.encode_batch(list(texts))]

    def _texts(self, length: int, stream: Iterator[str]) -> Iterator[str]:
        while True:
            yield self._text(length, stream)

    def _text(self, length: int, stream: Iterator[str]) -> str:
        text = next(stream)
        while len(self.tokenizer.encode(text).ids) < length:
            text = f"{text} {next(stream)}"
        # The end of the last token that still fits; the closing token needs one place.
        end = self.tokenizer.encode(text).offsets[length - 2][1]
        return text[:end]

    def _stream(self, start: int) -> Iterator[str]:
        return itertools.islice(itertools.cycle(self.sentences), start, None)


class FreshTexts:
    """Texts for rounds: no text is given twice, so that no engine has seen one before.

    Sentences are each used once; when all are used, they go on in pairs that were not there yet.
    Methods raise DataError when these are used too.
    """

    def __init__(self, maker: TextMaker, streams: Mapping[str, Sequence[str]]) -> None:
        self._maker, self._seen = maker, set[str]()
        self._sentences = _ever_new(maker.sentences)
        self._streams = {name: _ever_new(texts) for name, texts in streams.items()}

    def make(self, lengths: Sequence[int]) -> list[str]:
        """One text for each length in tokens; see `TextMaker.make`."""
        return self._maker.make_fresh(lengths, self._sentences, self._seen)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return self._maker.count(texts)

    def take(self, stream: str, count: int) -> list[str]:
        """The next texts of a real stream."""
        return list(itertools.islice(self._streams[stream], count))


def _ever_new(texts: Sequence[str]) -> Iterator[str]:
    """Each text once, then each with its neighbour, then with the one after that, and so on."""
    yield from texts
    for distance in range(1, len(texts)):
        for number, text in enumerate(texts):
            yield f"{text} {texts[(number + distance) % len(texts)]}"
    raise DataError("texts", f"{len(texts)} are too few for rounds of texts that no engine has seen")


def real_streams(data: Path | None) -> dict[str, list[str]]:
    """Texts as people wrote them: `paragraphs` of this project's own, and `sts-b` where the data is given.

    Raises:
        DataError: If a file of the data is damaged or malformed.
    """
    own = (*parity_texts(), *held_out_texts(), *calibration_texts())
    streams = {"paragraphs": _distinct(text.text for text in own if text.role == "document")}
    if data is not None and (data / "stsb").is_dir():
        folder = DataFolder(data)
        columns = [read_pairs(folder, language) for language in STS_LANGUAGES]
        rows = itertools.zip_longest(*(column for pairs in columns for column in (pairs.left, pairs.right)))
        streams["sts-b"] = _distinct(sentence for row in rows for sentence in row if sentence)
    return streams


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text.strip()))


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
