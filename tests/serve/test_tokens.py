"""Texts to tokens in steps: the library's own tokens, no more work than is needed, and limits that hold."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e5_onnx.inference.engine import Engine, Request
from e5_onnx.inference.options import Options
from e5_onnx.opening import open_engine
from e5_onnx.recipes import Recipe, Role, Template
from e5_onnx.serve.errors import BadInputError, TooLargeError, TooLongError
from e5_onnx.serve.seams import Seams
from e5_onnx.serve.tokens import Tokeniser, Wish
from e5_onnx.serve.turns import Steps
from e5_onnx.tokens.lean_tokenizer import DOUBTFUL, LeanTokenizer
from e5_onnx.tokens.overflow import fit
from e5_onnx.tokens.tokenization import OverflowPolicy, TextTokenizer, TokenizedText

T = TypeVar("T")

# With words behind the text, too.
RECIPE = Recipe("custom", "Query: {text}\nAnswer: of the city", "{text}")
LONG = "moon river of the city " * 2000


class Counting:
    """A tokenizer that counts the characters it was given."""

    def __init__(self, own: TextTokenizer) -> None:
        self.name, self.own, self.characters = own.name, own, 0

    def tokenize(self, text: str, template: Template) -> TokenizedText:
        self.characters += len(text)
        return self.own.tokenize(text, template)


@pytest.fixture(scope="module")
def engine(tiny_folder: Path) -> Engine:
    options = Options(threads=1, token_budget=512, overflow="warn", verify=False, fingerprint=None,
                      tokenizer="tokenizers", exact_int8="auto", mode="auto", cache_dir=None)  # fmt: skip
    loaded = open_engine(tiny_folder, options, 1)
    return replace(
        loaded,
        manifest=replace(loaded.manifest, recipe=RECIPE),
        tokenizer=Counting(loaded.tokenizer),
    )


def tokeniser(engine: Engine, folder: Path, *, limit: int = 10**9, may_load: bool = True) -> Tokeniser:
    return Tokeniser(engine, Seams(engine.tokenizer, folder), limit=limit, may_load=lambda: may_load)


def finish(steps: Steps[T]) -> tuple[T, int]:
    """What a job returns, and how many steps it took."""
    for number in itertools.count(1):
        try:
            next(steps)
        except StopIteration as end:
            return end.value, number
    raise AssertionError


# By name: hypothesis prints what it draws.
TEXTS = {
    "word": "moon",
    "nothing": "",
    "spaced": "  the river\n",
    "long": LONG[:3000],
    "cut": LONG[:1000],
    "some": "city " * 100,
}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(list(TEXTS)), min_size=1, max_size=4),
    st.sampled_from([("query", "truncate"), ("query", "warn"), ("document", "window"), ("raw", "truncate")]),
    st.integers(1, 2000),
)
def test_rows_are_the_librarys_own(
    engine: Engine, tiny_folder: Path, names: list[str], how: tuple[Role, OverflowPolicy], size: int
) -> None:
    wish = Wish([TEXTS[name] for name in names], how[0], None, how[1])
    whole = engine.tokenize(wish.texts, Request(wish.role, None, wish.overflow))
    truth = fit(whole, engine.manifest.max_tokens, wish.overflow)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("e5_onnx.serve.seams._PIECE", size)
        made = tokeniser(engine, tiny_folder)
        found, _ = finish(made.rows(wish))
        every, _ = finish(made.tokenise(replace(wish, overflow="window")))
    assert [row.tolist() for row in found.ids] == [row.tolist() for row in truth.ids]
    assert found.first == truth.first
    np.testing.assert_array_equal(found.truncated, truth.truncated)
    assert [text.ids.tolist() for text in every] == [text.ids.tolist() for text in whole]


def test_queries_have_no_windows(engine: Engine, tiny_folder: Path) -> None:
    with pytest.raises(BadInputError, match="windows are for documents"):
        finish(tokeniser(engine, tiny_folder).rows(Wish(["x"], "query", None, "window")))


def test_of_a_text_that_is_cut_only_the_beginning_is_tokenised(engine: Engine, tiny_folder: Path) -> None:
    counting = engine.tokenizer
    assert isinstance(counting, Counting)
    made = tokeniser(engine, tiny_folder)
    counting.characters = 0
    finish(made.rows(Wish([LONG * 10, LONG], "document", None, "truncate")))
    assert counting.characters < 10_000
    with pytest.raises(TooLongError, match="text 1 has more than the model's 128 tokens"):
        finish(made.rows(Wish(["moon", LONG * 10], "document", None, "error")))
    assert counting.characters < 20_000


@pytest.mark.parametrize("texts", [["moon"] * 2000, [LONG, LONG], ["" for _ in range(1000)]])
def test_work_is_done_in_small_steps(texts: list[str], engine: Engine, tiny_folder: Path) -> None:
    counting = engine.tokenizer
    assert isinstance(counting, Counting)
    steps = tokeniser(engine, tiny_folder).rows(Wish(texts, "document", None, "window"))
    before, most, count = counting.characters, 0, 0
    for _ in steps:
        most, before, count = max(most, counting.characters - before), counting.characters, count + 1
    assert most < 20_000
    assert count >= 7


def test_a_request_may_have_so_many_tokens(engine: Engine, tiny_folder: Path) -> None:
    counting = engine.tokenizer
    assert isinstance(counting, Counting)
    made = tokeniser(engine, tiny_folder, limit=1000)
    whole = len(engine.tokenizer.tokenize("moon", Template()))
    exact = Wish(["moon"] * (1000 // whole), "document", None, "truncate")
    assert len(finish(made.rows(exact))[0].ids) == 1000 // whole
    for wish in (
        replace(exact, texts=["moon"] * (1000 // whole + 1)),
        Wish([LONG] * 8, "document", None, "truncate"),
        Wish([LONG], "document", None, "window"),
    ):
        counting.characters = 0
        with pytest.raises(TooLargeError, match="may have 1000 tokens, this one has more"):
            finish(made.rows(wish))
        assert counting.characters < 50_000
    counting.characters = 0
    with pytest.raises(TooLargeError, match="may have 1000 tokens"):
        finish(made.tokenise(Wish([LONG * 100], "document", None, "window")))
    assert counting.characters < 50_000


class Lean(LeanTokenizer):
    """The lean tokenizer as far as it is asked here; it has loaded nothing."""

    name = "tokie"

    def __init__(self, own: TextTokenizer) -> None:
        self._own, self._full = own, None

    def tokenize(self, text: str, template: Template) -> TokenizedText:
        return self._own.tokenize(text, template)


@pytest.mark.parametrize("may_load", [True, False])
def test_without_memory_for_it_no_larger_tokenizer_is_loaded(
    may_load: bool, engine: Engine, tiny_folder: Path
) -> None:
    lean = replace(engine, tokenizer=Lean(engine.tokenizer))
    made = tokeniser(lean, tiny_folder, may_load=may_load)
    assert DOUBTFUL.search("\u0897")
    assert finish(made.rows(Wish(["moon"], "document", None, "truncate")))[0].ids
    wish = Wish(["moon", "moon \u0897"], "document", None, "truncate")
    if may_load:
        assert len(finish(made.rows(wish))[0].ids) == 2
    else:
        with pytest.raises(BadInputError, match=r"text 1 has characters for which .* a larger tokenizer"):
            finish(made.rows(wish))


def test_a_task_that_cannot_be_is_refused(engine: Engine, tiny_folder: Path) -> None:
    with pytest.raises(BadInputError, match="takes no task"):
        finish(tokeniser(engine, tiny_folder).rows(Wish(["x"], "document", "do it", "truncate")))
