"""Where a text may be cut before it is tokenised: both sides then have the tokens of the whole.

A tokenizer of the kinds known here splits texts at white space first, and no token reaches across. A cut in
front of white space that stands between two ordinary characters is therefore no cut to it: no accent, no
joiner and no added token reaches over it, and the second half begins as a word in the middle of a text does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx.recipes import Template
from e5_onnx.serve.errors import BadInputError
from e5_onnx.tokens.tokenization import WHITE_SPACE, TextTokenizer

# Letters, digits and punctuation that stand for themselves: none is left out, joins its neighbour or turns
# into white space.
_ORDINARY: Final = (
    "!-~\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0391-\u03a1\u03a3-\u03c9\u0400-\u0481\u048a-\u0523\u0531-\u0556"
    "\u0561-\u0586\u05d0-\u05ea\u0621-\u063a\u0641-\u064a\u0905-\u0939\u0985-\u098c\u0e01-\u0e30\u10d0-\u10f0"
    "\u3001\u3002\u3042-\u3094\u30a2-\u30f4\u4e00-\u9fa5\uac00-\ud7a3\uff01\uff0c\uff1f"
)
_SPACES: Final = (" ", "\n", "\r", "\t", "\u3000")

# Characters of a piece: some milliseconds, and more tokens than most models take.
_PIECE: Final = 4096
_NOWHERE: Final = re.compile("(?!)")
# Characters in which no cut is found, as the tokenizer normalises them: half a second, and some 100 MB.
LONGEST_RUN: Final = 100_000
# What one character can become (U+FDFA).
_MOST_OF_ONE: Final = 18

_NORMALISERS: Final = {
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Nmt",
    "Precompiled",
    "StripAccents",
}
_REPLACED: Final = (" {2,}", r"[\t\n\r]")


class _Model(msgspec.Struct):
    type: str = ""
    dropout: float | None = None


class _TokenizerFile(msgspec.Struct):
    added_tokens: list[dict[str, Any]] = []
    normalizer: dict[str, Any] | None = None
    pre_tokenizer: dict[str, Any] | None = None
    model: _Model = msgspec.field(default_factory=_Model)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text.

    Attributes:
        text: The part.
        template: The prompt template around it; empty in the middle of a text.
    """

    text: str
    template: Template


class Seams:
    """Cuts texts for one tokenizer."""

    def __init__(self, tokenizer: TextTokenizer, folder: Path) -> None:
        """Looks at a folder's tokenizer.json, and tries which white space the tokenizer takes for a space."""
        file = msgspec.json.decode((folder / TOKENIZER_NAME).read_bytes(), type=_TokenizerFile)
        spaces = (
            "".join(space for space in _SPACES if _is_a_space(space, tokenizer)) if _is_known(file) else ""
        )
        pattern = rf"(?<=[{_ORDINARY}])[{spaces}]{{1,4}}(?=[{_ORDINARY}])"
        self._seam: Final = re.compile(pattern) if spaces else _NOWHERE

    def pieces(self, text: str, template: Template, index: int) -> Iterator[Piece]:
        """Cuts a text in its template into pieces of some thousand characters.

        Args:
            text: The text.
            template: The prompt template around it.
            index: Its number, for messages.

        Raises:
            BadInputError: If it has too many characters in a row without a place to cut.
        """
        # What stands behind a text has the same tokens whatever the text is, if it begins with white space.
        seam = self._seam if template.after[:1] in {"", *WHITE_SPACE} else _NOWHERE
        start, end = 0, -1
        while end < len(text):
            found = seam.search(text, start + _PIECE, start + _PIECE + LONGEST_RUN)
            end = len(text) if found is None else found.start()
            _check_run(text[start:end], index)
            before = template.before if start == 0 else ""
            yield Piece(text[start:end], Template(before, template.after if end == len(text) else ""))
            start = end


def _check_run(piece: str, index: int) -> None:
    size = len(piece)
    if size * _MOST_OF_ONE > LONGEST_RUN:
        # Decomposed, and composed again, it is as long as it can get.
        size = max(size, len(unicodedata.normalize("NFKD", piece[:LONGEST_RUN])))
    if size > LONGEST_RUN:
        raise BadInputError(
            f"text {index} has more than {LONGEST_RUN} characters in a row without white space at which it "
            "could be cut: split it"
        )


def _is_a_space(char: str, tokenizer: TextTokenizer) -> bool:
    between = tokenizer.tokenize(f"a{char}b", Template()).ids
    return bool(between.tolist() == tokenizer.tokenize("a b", Template()).ids.tolist())


def _is_known(file: _TokenizerFile) -> bool:
    """Whether no token of a tokenizer reaches across white space, by how it is made."""
    return (
        all(map(_is_known_normaliser, _steps(file.normalizer, "normalizers")))
        and _splits_at_spaces([*_steps(file.pre_tokenizer, "pretokenizers")])
        and not any(token.get("rstrip") or _has_space(token["content"]) for token in file.added_tokens)
        and not file.model.dropout
    )


def _has_space(content: str) -> bool:
    return any(char.isspace() for char in content)


def _steps(step: dict[str, Any] | None, inner: str) -> Iterator[dict[str, Any]]:
    if step is None:
        return
    if step.get("type") == "Sequence":
        for one in step[inner]:
            yield from _steps(one, inner)
    else:
        yield step


def _is_known_normaliser(step: dict[str, Any]) -> bool:
    match step:
        case {"type": "Replace", "pattern": {"Regex": pattern}, "content": " " | "\u2581"}:
            return pattern in _REPLACED
        case {"type": "Strip", "strip_left": False}:
            return True
        case _:
            return step.get("type") in _NORMALISERS


def _splits_at_spaces(steps: list[dict[str, Any]]) -> bool:
    kinds = [step.get("type") for step in steps]
    if kinds == ["BertPreTokenizer"]:
        return True
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        return False
    last = steps[-1]
    first_word = last.get("prepend_scheme", "always" if last.get("add_prefix_space") else "never")
    return first_word == "always" and last.get("split", True) is True
