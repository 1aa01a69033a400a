"""Tatoeba: sentences in 112 languages, each with its English translation (facebookresearch/LASER)."""

from __future__ import annotations

from dataclasses import dataclass

from e5_onnx_perf.accuracy.data_folder import DataFiles
from e5_onnx_perf.accuracy.languages import ENGLISH, TATOEBA, Language
from e5_onnx_perf.errors import DataError


@dataclass(frozen=True, slots=True)
class Translations:
    """One language's sentences.

    Attributes:
        other: Its sentences.
        english: Their translations, at the same places.
    """

    other: list[str]
    english: list[str]


def read_translations(data: DataFiles, language: Language, limit: int | None = None) -> Translations:
    """Reads `tatoeba/tatoeba.XXX-eng.XXX` and its English half.

    Args:
        data: The folder of the files.
        language: One of `languages.TATOEBA`.
        limit: Sentences to keep, the first; at least 1.

    Raises:
        DataError: Naming file and line.
    """
    if language not in TATOEBA:
        raise DataError("tatoeba", f"there is no language {language.short!r}")
    stem = f"tatoeba/tatoeba.{language.tatoeba}-{ENGLISH.tatoeba}"
    other, english = (_read_lines(data, f"{stem}.{code}") for code in (language.tatoeba, ENGLISH.tatoeba))
    if len(other) != len(english):
        raise DataError(
            f"{stem}.{language.tatoeba}", f"it has {len(other)} lines, its English half has {len(english)}"
        )
    return Translations(other[:limit], english[:limit])


def _read_lines(data: DataFiles, name: str) -> list[str]:
    content = data.find(name).read_bytes()
    # By line feeds alone: sentences may hold what str.splitlines takes for the end of a line.
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    if not lines:
        raise DataError(name, "it is empty")
    return [_decode(line, name, number) for number, line in enumerate(lines, 1)]


def _decode(line: bytes, name: str, number: int) -> str:
    try:
        text = line.decode().removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(name, str(error), line=number) from error
    if not text.strip():
        raise DataError(name, "there is no sentence", line=number)
    return text
