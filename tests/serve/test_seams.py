"""A text that is cut before it is tokenised has the tokens that it has in the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_tokens import real_tokenizer_json
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_tokenizers import write_tiny_bert_tokenizer, write_tiny_tokenizer

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx.recipes import Template
from e5_onnx.serve import seams as seams_module
from e5_onnx.serve.errors import BadInputError
from e5_onnx.serve.seams import LONGEST_RUN, Seams
from e5_onnx.tokens.full_tokenizer import FullTokenizer

TEMPLATES = [Template(), Template("query: ", ""), Template("Query: ", "\nAnswer: "), Template("q", " .")]
KINDS = {"xlm-r": write_tiny_tokenizer, "bert": write_tiny_bert_tokenizer}

WORDS = (
    st.sampled_from(
        ["moon", "river", "</s>", "<mask>", "[MASK]", "x" * 40, "\u6771\u4eac", "\u0440\u0435\u043a\u0430"]
    )
    | st.sampled_from(
        ["e\u0301", "\u0301", "\u200d", "\ufdfa", "\u0600", "\x01", "\u3164", "\u0e33", "!", "<", "\u2581"]
    )
    | st.sampled_from(["\U0001f469\u200d\U0001f680", "\u115f", "\uff9e", ""])
    | st.text(max_size=6)
)
SPACES = st.sampled_from(
    [" ", "  ", "\n", "\r\n", "\n\n", "\t", "\u3000", "\u00a0", "\u2028", "\x0b", "", "\u200b"]
)
TEXTS = st.lists(st.tuples(WORDS, SPACES), max_size=12).map(lambda rows: "".join(a + b for a, b in rows))


@pytest.fixture(scope="module", params=KINDS)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FullTokenizer, Seams]:
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = FullTokenizer(KINDS[request.param](folder / TOKENIZER_NAME))
    return tokenizer, Seams(tokenizer, folder)


def in_pieces(
    tokenizer: FullTokenizer, seams: Seams, text: str, template: Template
) -> tuple[list[list[int]], int]:
    """Head, body and tail of a text that is tokenised in pieces, and the number of pieces."""
    parts = [tokenizer.tokenize(piece.text, piece.template) for piece in seams.pieces(text, template, 0)]
    body = np.concatenate([part.body for part in parts])
    return [parts[0].head.tolist(), body.tolist(), parts[-1].tail.tolist()], len(parts)


def in_whole(tokenizer: FullTokenizer, text: str, template: Template) -> list[list[int]]:
    found = tokenizer.tokenize(text, template)
    return [found.head.tolist(), found.body.tolist(), found.tail.tolist()]


@settings(deadline=None, max_examples=400)
@given(TEXTS, st.sampled_from(TEMPLATES), st.integers(1, 9))
@example("moon river\nmoon </s> moon <mask> moon ", TEMPLATES[2], 1)
@example("the city  the \u3000city\r\n\r\nthe city", TEMPLATES[0], 1)
def test_pieces_have_the_tokens_of_the_whole(
    pair: tuple[FullTokenizer, Seams], text: str, template: Template, size: int
) -> None:
    tokenizer, seams = pair
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(seams_module, "_PIECE", size)
        found, _ = in_pieces(tokenizer, seams, text, template)
    assert found == in_whole(tokenizer, text, template)


def test_a_long_text_is_cut_in_many_pieces(pair: tuple[FullTokenizer, Seams]) -> None:
    tokenizer, seams = pair
    text = "The moon, the river.\r\n\u6771\u4eac\u306e\u6771\u3002\n" * 3000
    found, pieces = in_pieces(tokenizer, seams, text, TEMPLATES[2])
    assert found == in_whole(tokenizer, text, TEMPLATES[2])
    assert pieces > len(text) / 4300


@pytest.mark.real
def test_every_ordinary_character_is_one_to_the_real_tokenizer(tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_NAME).write_bytes(real_tokenizer_json().read_bytes())
    tokenizer = FullTokenizer(tmp_path / TOKENIZER_NAME)
    seams = Seams(tokenizer, tmp_path)
    ordinary = [char for char in map(chr, range(0x110000)) if seams._seam.search(f"{char} a")]
    assert len(ordinary) > 30_000

    def body(text: str) -> list[int]:
        found: list[int] = tokenizer.tokenize(text, Template()).body.tolist()
        return found

    for char in ordinary:
        for space in (" ", "\r\n"):
            whole = f"a {char}{space}{char} a"
            assert body(whole) == body(f"a {char}") + body(f"{space}{char} a"), repr(whole)


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Path]:
    """Writes a tokenizer of XLM-R's shape with another way to split texts."""

    def write(path: Path) -> Path:
        values = json.loads(write_tiny_tokenizer(path).read_text("utf-8"))
        change(values)
        path.write_text(json.dumps(values), "utf-8")
        return path

    return write


def add_token(**options: object) -> Callable[[dict[str, Any]], object]:
    row = {"id": 299, "content": "<mask>", "single_word": False, "lstrip": False, "rstrip": False,
           "normalized": False, "special": True}  # fmt: skip
    return lambda values: values["added_tokens"].__setitem__(-1, row | options)


NOT_CUT = {
    "another prefix": lambda values: values["pre_tokenizer"].update(prepend_scheme="first"),
    "one word": lambda values: values["pre_tokenizer"].update(split=False),
    "no splitting": lambda values: values.update(pre_tokenizer=None),
    "bytes": lambda values: values.update(
        pre_tokenizer={
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        }
    ),
    "a normaliser of its own": lambda values: values["normalizer"]["normalizers"].append(
        {"type": "Replace", "pattern": {"String": "a b"}, "content": "c"}
    ),
    "stripping": lambda values: values["normalizer"]["normalizers"].append(
        {"type": "Strip", "strip_left": True, "strip_right": True}
    ),
    "a token with a space": add_token(content="moon river"),
    "a token that takes the space behind it": add_token(rstrip=True),
}


@pytest.mark.parametrize("case", NOT_CUT)
def test_a_tokenizer_that_looks_across_spaces_gets_whole_texts(case: str, tmp_path: Path) -> None:
    path = changed(NOT_CUT[case])(tmp_path / TOKENIZER_NAME)
    text = "moon river " * 1000
    pieces = [piece.text for piece in Seams(FullTokenizer(path), tmp_path).pieces(text, Template(), 0)]
    assert pieces == [text]


CUT = {
    "as it is": lambda _: None,
    "no normaliser": lambda values: values.update(normalizer=None),
    "stripping the end": lambda values: values["normalizer"]["normalizers"].append(
        {"type": "Strip", "strip_left": False, "strip_right": True}
    ),
    "words first": lambda values: values.update(
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, values["pre_tokenizer"]],
        }
    ),
    "an old file": lambda values: values.update(
        pre_tokenizer={"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}
    ),
    "a token that takes the space before it": add_token(lstrip=True),
}


@pytest.mark.parametrize("case", CUT)
def test_other_tokenizers_of_the_kind_are_cut(case: str, tmp_path: Path) -> None:
    path = changed(CUT[case])(tmp_path / TOKENIZER_NAME)
    tokenizer = FullTokenizer(path)
    text = "moon river  <mask>\n\nwhat? " * 700
    found, pieces = in_pieces(tokenizer, Seams(tokenizer, tmp_path), text, TEMPLATES[1])
    assert found == in_whole(tokenizer, text, TEMPLATES[1])
    assert pieces > 3


def test_only_white_space_that_the_tokenizer_takes_for_a_space_is_a_seam(tmp_path: Path) -> None:
    path = changed(CUT["no normaliser"])(tmp_path / TOKENIZER_NAME)
    seams = Seams(FullTokenizer(path), tmp_path)
    assert len(list(seams.pieces("moon\nriver\n" * 1000, Template(), 0))) == 1
    assert len(list(seams.pieces("moon river " * 1000, Template(), 0))) > 2


def test_a_template_that_may_join_the_text_leaves_it_whole(pair: tuple[FullTokenizer, Seams]) -> None:
    _, seams = pair
    assert len(list(seams.pieces("moon river " * 1000, Template("", "end"), 0))) == 1


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ("x" * LONGEST_RUN, True),
        ("x" * (LONGEST_RUN + 1), False),
        ("\ufdfa" * (LONGEST_RUN // 18), True),
        ("\ufdfa" * (LONGEST_RUN // 18 + 1), False),
        ("moon river " * 50 + "x" * (LONGEST_RUN + 5000), False),
        ("x" * 90_000 + " moon " + "x" * 90_000, True),
        ("moon " * LONGEST_RUN, True),
        ("", True),
    ],
    ids=[
        "as many as may be",
        "one more",
        "long inside",
        "longer inside",
        "in the middle",
        "two runs",
        "words",
        "none",
    ],
)
def test_what_cannot_be_cut_has_a_longest_length(
    text: str, is_taken: bool, pair: tuple[FullTokenizer, Seams]
) -> None:
    _, seams = pair
    if is_taken:
        assert "".join(piece.text for piece in seams.pieces(text, Template(), 3)) == text
    else:
        with pytest.raises(BadInputError, match="text 3 has more than 100000 characters in a row"):
            list(seams.pieces(text, Template(), 3))
