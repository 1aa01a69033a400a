"""The true tokenizer: the `tokenizers` library, on the model's own tokenizer.json."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from e5_onnx.errors import ModelLoadError
from e5_onnx.recipes import Template
from e5_onnx.tokens.tokenization import WHITE_SPACE, TokenizedText, translated_errors


class FullTokenizer:
    """The `tokenizers` library, which transformers uses too: the truth.

    It only ever encodes one text at a time. That needs no thread pool, whereas `encode_batch` starts a thread
    for every core, which then live as long as the process. A text of a million characters, whatever they are,
    takes about a second and 200 MB, and Python's lock is held meanwhile.

    Args:
        path: A tokenizer.json. Truncation and padding written in it are ignored, as MiniLM's file has both
            (https://github.com/qdrant/fastembed/issues/716).

    Raises:
        ModelLoadError: If the file cannot be read as a tokenizer.
    """

    name = "tokenizers"

    def __init__(self, path: Path) -> None:
        self._file = path.name
        with translated_errors(self._file):
            self._tokenizer = Tokenizer.from_file(str(path))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            # Some faults show only when something is encoded: the second text is in no vocabulary.
            special = self._tokenizer.encode("a").special_tokens_mask
            self._tokenizer.encode("\U0010ffff")
        if 0 not in special:
            raise ModelLoadError(self._file, "it makes no token of the letter a; export the model again")
        self._before: int = special.index(0)
        self._after: int = special[::-1].index(0)

    def tokenize(self, text: str, template: Template) -> TokenizedText:
        """Returns the token ids of a text in its template, of whatever length.

        They are those of the whole rendered string: a template's last token may depend on the text.

        Args:
            text: Valid Unicode. Names of special tokens in it, such as `</s>`, become these tokens.
            template: The prompt template around it.

        Raises:
            ModelLoadError: If the tokenizer is at fault.
        """
        with translated_errors(self._file):
            encoding = self._tokenizer.encode(template.before + text + template.after)
        ids = np.array(encoding.ids, np.int64)
        start, end = self._before, len(ids) - self._after
        if template.after:
            end = max(start, end - self._tail_length(encoding, text, template))
        # By character positions: neither ids nor counts tell a text's own `</s>` from the tokenizer's. A
        # token that reaches from the template into the text is the template's, which is never cut.
        if template.before:
            template_end = len(template.before.rstrip(WHITE_SPACE))
            start = bisect_left(encoding.offsets, template_end, start, end, key=itemgetter(0))
        return TokenizedText(ids[:start], ids[start:end], ids[end:])

    def _tail_length(self, encoding: Encoding, text: str, template: Template) -> int:
        """Counts the tokens of the template after the text, without the closing special token."""
        specials = self._before + self._after
        if template.after[0] in WHITE_SPACE:
            # Not by positions: all of them are too small after control characters that a text starts with and
            # the normaliser leaves out (tokenizers 0.20 to 0.23).
            return len(self._tokenizer.encode(template.after)) - specials
        text_end = len(template.before) + len(text)
        own = encoding.offsets[self._before : len(encoding) - self._after]
        return len(own) - bisect_right(own, text_end, key=itemgetter(1))
