"""The small tokenizer: tokie, which gives the same tokens in a sixth of the memory and an eighth of the time.

tokie calls itself alpha. It is used only where the exporter has proved its tokens equal, in the version that
was proved, and never for the few characters that it is known to treat differently.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from e5_onnx.errors import MissingExtraError, ModelLoadError
from e5_onnx.model_folder.manifest import LEAN_TOKENIZER_NAME, TOKENIZER_NAME, Manifest
from e5_onnx.recipes import Template
from e5_onnx.tokens.tokenization import WHITE_SPACE, TextTokenizer, TokenizedText, translated_errors

if TYPE_CHECKING:
    from tokie import Tokenizer

_EXTRA: Final = "lean"
LIBRARY: Final = "tokie"

# tokie writes no closing token for XLM-R, so both are written here. The proof covers the choice.
_SPECIAL_TOKENS: Final = (("<s>", "</s>"), ("[CLS]", "[SEP]"))

# C0 and C1. Which of them a vocabulary's normaliser leaves out is asked of the tokenizer.
_CONTROLS: Final = "".join(map(chr, (*range(0x01, 0x20), *range(0x7F, 0xA0))))

# Joiners and signs of Unicode 16 and 17. SentencePiece's normaliser works on grapheme clusters, and of these
# characters tokie 0.1.4 (Unicode 17) and `tokenizers` (15.1 in 0.20, 16 in 0.22, 17 in 0.23) do not all know
# that they belong to one: texts with them go to `tokenizers`. The exporter's proof tries every character.
_NEW_IN_UNICODE: Final = (
    "\u0897\u1acf-\u1aeb\U00010d69-\U00010d6d\U00010efa-\U00010efc\U000113b8-\U000113e2\U00011a3a"
    "\U00011b60-\U00011b67\U00011f5a\U0001611e-\U0001612f\U0001e5ee-\U0001e5ef\U0001e6e3-\U0001e6f5"
)
DOUBTFUL: Final = re.compile(f"[{_NEW_IN_UNICODE}]")


class LeanTokenizer:
    """The `tokie` library behind the protocol of `e5_onnx.tokens.tokenization.TextTokenizer`.

    One text at a time, without threads of its own; Python's lock is free meanwhile.

    Args:
        path: The file that `tokie.Tokenizer.save` wrote.
        full: The tokenizer.json that it was made from, read only when a text needs it.

    Raises:
        ModelLoadError: If the file cannot be read.
        MissingExtraError: If tokie is not installed.
    """

    name = LIBRARY

    def __init__(self, path: Path, full: Path) -> None:
        self._file, self._full_path = path.name, full
        library = _import_tokie()
        with translated_errors(self._file):
            self._tokenizer = library.from_file(str(path))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            self._opening, self._closing = self._special_tokens()
            self._vanishing = self._vanishing_segments()
        self._full: TextTokenizer | None = None
        self._lock = Lock()

    def tokenize(self, text: str, template: Template) -> TokenizedText:
        """Returns the token ids of a text in its template, of whatever length.

        Args:
            text: Valid Unicode.
            template: The prompt template; it must separate the text by white space, as `keeps_apart` says.

        Raises:
            ModelLoadError: If the tokenizer is at fault.
        """
        rendered = template.before + text + template.after
        if DOUBTFUL.search(rendered):
            return self._full_tokenizer().tokenize(text, template)
        with translated_errors(self._file):
            ids = self._encode(rendered)
            before = len(self._encode(template.before.rstrip(WHITE_SPACE)))
            after = len(ids) - len(self._encode(template.after))
        return TokenizedText(
            np.array([self._opening, *ids[:before]], np.int64),
            np.array(ids[before:after], np.int64),
            np.array([*ids[after:], self._closing], np.int64),
        )

    def would_load_full(self, text: str) -> bool:
        """Whether to tokenise a text, some hundred megabytes of `tokenizers` have to be loaded first."""
        return self._full is None and DOUBTFUL.search(text) is not None

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(self._vanishing.sub("", text), add_special_tokens=False).ids
        return ids

    def _special_tokens(self) -> tuple[int, int]:
        for opening, closing in _SPECIAL_TOKENS:
            first, last = self._tokenizer.token_to_id(opening), self._tokenizer.token_to_id(closing)
            if first is not None and last is not None:
                return first, last
        raise ValueError("it has neither <s> and </s> nor [CLS] and [SEP]")

    def _vanishing_segments(self) -> re.Pattern[str]:
        """Finds what `tokenizers` makes no token of, and tokie a blank one.

        That is: a whole text, or all that stands between two special tokens, of nothing but characters that
        the normaliser leaves out. Within other text both leave them out.
        """
        plain = self._tokenizer.encode("ab").ids
        left_out = "".join(char for char in _CONTROLS if self._tokenizer.encode(f"a{char}b").ids == plain)
        return re.compile(rf"(?<![^>])[{re.escape(left_out)}]+(?![^<])") if left_out else re.compile("(?!)")

    def _full_tokenizer(self) -> TextTokenizer:
        from e5_onnx.tokens.full_tokenizer import FullTokenizer

        with self._lock:
            if self._full is None:
                self._full = FullTokenizer(self._full_path)
            return self._full


def keeps_apart(template: Template) -> bool:
    """Whether white space, or nothing at all, stands on both sides of the text.

    Without it a token may reach from the template into the text. tokie gives no character positions, so where
    the text's own tokens begin is found by counting those of the template alone, which would then be wrong.
    """
    return template.before[-1:] in {"", *WHITE_SPACE} and template.after[:1] in {"", *WHITE_SPACE}


def check_proof(manifest: Manifest) -> None:
    """Refuses a folder without a proof for the tokie that is installed.

    Raises:
        ModelLoadError: If the folder has no proof, or one for another version.
        MissingExtraError: If tokie is not installed.
    """
    proof = manifest.lean_tokenizer
    if proof is None or proof.library != LIBRARY or LEAN_TOKENIZER_NAME not in manifest.files:
        raise ModelLoadError(
            LEAN_TOKENIZER_NAME,
            "the folder has none that was proved equal to tokenizer.json: choose tokenizer='tokenizers', or "
            f"export the model again where {LIBRARY} is installed",
        )
    installed = installed_version()
    if proof.version != installed:
        raise ModelLoadError(
            LEAN_TOKENIZER_NAME,
            f"it was proved with {LIBRARY} {proof.version} and {installed} is installed: "
            f"`pip install {LIBRARY}=={proof.version}`, or export the model again",
        )


@cache
def installed_version() -> str:
    """Returns the version of tokie.

    Raises:
        MissingExtraError: If it is not installed.
    """
    _import_tokie()
    return metadata.version(LIBRARY)


def open_lean(folder: Path) -> LeanTokenizer:
    """Opens the small tokenizer of a folder; `check_proof` says whether that is right.

    Raises:
        ModelLoadError: If the file cannot be read.
        MissingExtraError: If tokie is not installed.
    """
    return LeanTokenizer(folder / LEAN_TOKENIZER_NAME, folder / TOKENIZER_NAME)


def write_lean(folder: Path) -> None:
    """Makes a folder's small tokenizer from its tokenizer.json; whether it is right is not checked here.

    Raises:
        ModelLoadError: If tokie does not understand the file.
        MissingExtraError: If tokie is not installed.
    """
    library = _import_tokie()
    with translated_errors(TOKENIZER_NAME):
        library.from_json(str(folder / TOKENIZER_NAME)).save(str(folder / LEAN_TOKENIZER_NAME))


def _import_tokie() -> type[Tokenizer]:
    try:
        from tokie import Tokenizer
    except ImportError as error:
        raise MissingExtraError(_EXTRA, LIBRARY) from error
    return Tokenizer
