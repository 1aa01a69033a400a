"""The languages of known models, as the hub writes them (ISO 639-1)."""

from __future__ import annotations

from typing import Final

# The languages of the card of intfloat/multilingual-e5-*, which are XLM-RoBERTa's.
_XLM_ROBERTA: Final = """\
multilingual af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi
hr hu hy id is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro
ru sa sd si sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh"""
_ENGLISH: Final = "en"

# By the beginning of the model's name.
_LANGUAGES: Final[dict[str, str]] = {
    "intfloat/multilingual-e5-": _XLM_ROBERTA,
    "intfloat/e5-": _ENGLISH,
    "BAAI/bge-small-en": _ENGLISH,
    "BAAI/bge-base-en": _ENGLISH,
    "BAAI/bge-large-en": _ENGLISH,
    "sentence-transformers/all-MiniLM-": _ENGLISH,
}


def languages(name: str, *, multilingual: bool) -> tuple[str, ...]:
    """Returns the languages of a model; empty where nothing says them.

    Args:
        name: The model's id on the hub.
        multilingual: Whether its kind of encoder is.
    """
    for beginning, known in _LANGUAGES.items():
        if name.startswith(beginning):
            return tuple(known.split())
    return ("multilingual",) if multilingual or "multilingual" in name.lower() else ()
