"""Texts to tokens in small steps: no more of a text than the model takes, or a request may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import InputError
from e5_onnx.inference.engine import Engine
from e5_onnx.recipes import Role, Template
from e5_onnx.serve.errors import BadInputError, TooLargeError, TooLongError
from e5_onnx.serve.seams import Piece, Seams
from e5_onnx.serve.turns import Steps
from e5_onnx.tokens.lean_tokenizer import LeanTokenizer
from e5_onnx.tokens.overflow import TokenRows, check_policy, fit
from e5_onnx.tokens.tokenization import OverflowPolicy, TokenizedText

# What a piece costs beside its own characters, in characters: its template, and the call.
_PIECE_COST: Final = 64
# Characters of a step, some milliseconds.
_STEP: Final = 8192


@dataclass(frozen=True, slots=True)
class Wish:
    """Texts to tokenise.

    Attributes:
        texts: The texts.
        role: The role of all texts.
        task: The instruction of queries, or None.
        overflow: How texts beyond the token limit are treated.
    """

    texts: Sequence[str]
    role: Role
    task: str | None
    overflow: OverflowPolicy


class Tokeniser:
    """Tokenises for a model, in steps of some milliseconds."""

    def __init__(self, engine: Engine, seams: Seams, *, limit: int, may_load: Callable[[], bool]) -> None:
        """Starts nothing yet.

        Args:
            engine: The model.
            seams: The positions at which its texts may be cut.
            limit: Tokens that a request may have.
            may_load: Whether there is memory for the whole tokenizer, where the lean one is used.
        """
        self._engine, self._seams, self._limit, self._may_load = engine, seams, limit, may_load

    def rows(self, wish: Wish) -> Steps[TokenRows]:
        """Turns texts into rows that fit the model.

        Raises:
            RequestError: As `tokenise`.
        """
        try:
            check_policy(wish.overflow, wish.role)
            return fit((yield from self.tokenise(wish)), self._engine.manifest.max_tokens, wish.overflow)
        except InputError as error:
            raise BadInputError(str(error)) from error

    def tokenise(self, wish: Wish) -> Steps[list[TokenizedText]]:
        """Turns texts into tokens: of a text that will be cut, its beginning is enough; of windows, all.

        Raises:
            BadInputError: If a role or task is wrong, or a text cannot be tokenised.
            TooLongError: If a text is too long where that is an error.
            TooLargeError: As soon as there are too many tokens.
        """
        longest = self._engine.manifest.max_tokens
        is_cut = wish.overflow != "window"
        template = self._template(wish)
        found: list[TokenizedText] = []
        used = cost = 0
        for index, text in enumerate(wish.texts):
            parts: list[TokenizedText] = []
            tail: NDArray[np.int64] | None = None
            for piece in self._seams.pieces(text, template, index):
                if cost >= _STEP:
                    cost = 0
                    yield
                cost += len(piece.text) + _PIECE_COST
                parts.append(self._of(piece, index))
                if sum(len(part.body) for part in parts) > (longest if is_cut else self._limit):
                    tail = self._tail(template)
                    break
            whole = _join(parts, tail)
            if wish.overflow == "error" and len(whole) > longest:
                raise TooLongError(f"text {index} has more than the model's {longest} tokens: split it")
            used += min(len(whole), longest) if is_cut else len(whole)
            if used > self._limit:
                raise TooLargeError("tokens", None, self._limit)
            found.append(whole)
        return found

    def _of(self, piece: Piece, index: int) -> TokenizedText:
        tokenizer = self._engine.tokenizer
        if (
            isinstance(tokenizer, LeanTokenizer)
            and tokenizer.would_load_full(piece.text)
            and not self._may_load()
        ):
            raise BadInputError(
                f"text {index} has characters for which this server has to load a larger tokenizer, and its "
                "memory limit leaves no room for it"
            )
        return tokenizer.tokenize(piece.text, piece.template)

    def _template(self, wish: Wish) -> Template:
        try:
            return self._engine.manifest.recipe.template(wish.role, wish.task)
        except InputError as error:
            raise BadInputError(str(error)) from error

    def _tail(self, template: Template) -> NDArray[np.int64]:
        """Returns the tokens after any text: the end of the template and the closing special token."""
        return self._engine.tokenizer.tokenize("", Template("", template.after)).tail


def _join(parts: Sequence[TokenizedText], tail: NDArray[np.int64] | None) -> TokenizedText:
    """One text of the tokens of its pieces, with a tail of its own where pieces are left out."""
    body = parts[0].body if len(parts) == 1 else np.concatenate([part.body for part in parts])
    return TokenizedText(parts[0].head, body, parts[-1].tail if tail is None else tail)
