from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from golden_tokens import GoldenTokens, golden_tokens, real_tokenizer_json
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import BAKED_IN_LENGTH, write_tiny_bert_tokenizer, write_tiny_tokenizer

from e5_onnx.errors import ModelLoadError, TemplateTooLongError
from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx.recipes import E5_INSTRUCT, Template
from e5_onnx.tokens.full_tokenizer import FullTokenizer
from e5_onnx.tokens.opening import load_tokenizer
from e5_onnx.tokens.tokenization import TokenizedText, room, translated_errors, truncate

BOS, EOS, CLS, SEP = 0, 2, 2, 3
RAW = Template()
QUERY = Template("query: ")
INSTRUCT = E5_INSTRUCT.template("query")
AROUND = Template("Given ", " for it")
GLUED = Template("the", "ing")
TEMPLATES = (RAW, QUERY, INSTRUCT, AROUND, GLUED)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> FullTokenizer:
    return FullTokenizer(write_tiny_tokenizer(tmp_path_factory.mktemp("tiny") / TOKENIZER_NAME))


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> FullTokenizer:
    return FullTokenizer(write_tiny_bert_tokenizer(tmp_path_factory.mktemp("bert") / TOKENIZER_NAME))


@pytest.fixture(scope="module")
def real() -> FullTokenizer:
    return FullTokenizer(real_tokenizer_json())


def parts(text: TokenizedText) -> tuple[list[int], list[int], list[int]]:
    return text.head.tolist(), text.body.tolist(), text.tail.tolist()


def pieces(tokenizer: FullTokenizer, text: TokenizedText) -> tuple[list[str | None], ...]:
    return tuple([tokenizer._tokenizer.id_to_token(token) for token in part] for part in parts(text))


# Head, body and tail.


@pytest.mark.parametrize(
    ("text", "template", "expected"),
    [
        ("the river", RAW, (["<s>"], ["▁the", "▁river"], ["</s>"])),
        ("the river", QUERY, (["<s>", "▁query", ":"], ["▁the", "▁river"], ["</s>"])),
        ("the river", AROUND, (["<s>", "▁Given"], ["▁the", "▁river"], ["▁for", "▁it", "</s>"])),
        # The space belongs to the text, whether it makes a token of its own or not.
        ("東京", QUERY, (["<s>", "▁query", ":"], ["▁", "東", "京"], ["</s>"])),
        ("  the ", QUERY, (["<s>", "▁query", ":"], ["▁the", "▁"], ["</s>"])),
        # The space before a template after the text is the template's.
        ("the ", AROUND, (["<s>", "▁Given"], ["▁the"], ["▁for", "▁it", "</s>"])),
        ("", RAW, (["<s>"], [], ["</s>"])),
        ("", QUERY, (["<s>", "▁query", ":"], ["▁"], ["</s>"])),
        ("", AROUND, (["<s>", "▁Given"], [], ["▁for", "▁it", "</s>"])),
        (" \n\t ", RAW, (["<s>"], ["▁"], ["</s>"])),
        # Names of special tokens in a text are these tokens, as in transformers, and are the text's.
        ("</s>", RAW, (["<s>"], ["</s>"], ["</s>"])),
        ("<s> a </s>", RAW, (["<s>"], ["<s>", "▁a", "▁", "</s>"], ["</s>"])),
        ("<mask>", QUERY, (["<s>", "▁query", ":"], ["▁", "<mask>"], ["</s>"])),
        ("</s>", AROUND, (["<s>", "▁Given"], ["▁", "</s>"], ["▁for", "▁it", "</s>"])),
        # Without white space between them, a token that they share is the template's: that is never cut.
        ("river", GLUED, (["<s>", "▁the"], ["r", "i", "v", "er"], ["ing", "</s>"])),
        ("the", Template("", "s"), (["<s>"], ["▁the"], ["s", "</s>"])),
        ("qu", Template("", "ery"), (["<s>"], [], ["▁query", "</s>"])),
        ("e", Template("th"), (["<s>", "▁the"], [], ["</s>"])),
        ("h", Template("t", "e"), (["<s>"], [], ["▁the", "</s>"])),
    ],
)
def test_text_and_template_are_told_apart(
    tiny: FullTokenizer, text: str, template: Template, expected: tuple[list[str], ...]
) -> None:
    assert pieces(tiny, tiny.tokenize(text, template)) == expected


def test_a_bert_tokenizer_has_its_own_special_tokens(tiny_bert: FullTokenizer) -> None:
    text = tiny_bert.tokenize("The river [SEP]", Template("query: ", " for it"))
    assert pieces(tiny_bert, text) == (
        ["[CLS]", "query", ":"],
        ["the", "river", "[SEP]"],
        ["for", "it", "[SEP]"],
    )
    assert parts(tiny_bert.tokenize("", RAW)) == ([CLS], [], [SEP])


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(max_size=60), st.sampled_from(TEMPLATES))
def test_the_parts_are_the_whole_rendered_string(tiny: FullTokenizer, text: str, template: Template) -> None:
    rendered = tiny._tokenizer.encode(template.before + text + template.after)
    tokenized = tiny.tokenize(text, template)
    assert tokenized.ids.tolist() == rendered.ids
    assert len(tokenized) == len(rendered.ids)
    assert tokenized.ids.dtype == np.int64
    assert tokenized.head[0] == BOS
    assert tokenized.tail[-1] == EOS


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\x07\x1b[0m", "\u200b\u2060", "\ud7ff\ue000", "\U0010ffff", "ﷺ" * 9]
)
def test_odd_characters_are_text_like_any_other(tiny: FullTokenizer, text: str) -> None:
    assert tiny.tokenize(text, QUERY).head.tolist() == tiny.tokenize("the", QUERY).head.tolist()


# What a tokenizer.json says of truncation and padding.


def test_truncation_and_padding_in_the_file_are_ignored(tiny_bert: FullTokenizer) -> None:
    # https://github.com/qdrant/fastembed/issues/716
    assert len(tiny_bert.tokenize("river", RAW)) == 3
    assert len(tiny_bert.tokenize("river " * 3 * BAKED_IN_LENGTH, RAW)) == 3 * BAKED_IN_LENGTH + 2


# Cutting.


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("limit", [32, 40, 50, 51, 52, 53, 54, 60, 500])
def test_truncation_cuts_the_end_of_the_text_and_never_the_template(
    tiny: FullTokenizer, template: Template, limit: int
) -> None:
    text = tiny.tokenize("the river city " * 16, template)
    ids = truncate(text, limit)
    assert len(ids) == min(limit, len(text))
    assert ids.dtype == np.int64
    kept = len(ids) - len(text.head) - len(text.tail)
    assert ids.tolist() == [*text.head, *text.body[:kept], *text.tail]


@pytest.mark.parametrize("limit", [3, 4, 10, 17])
def test_without_a_template_after_the_text_truncation_is_a_prefix_and_the_end_token(
    tiny: FullTokenizer, limit: int
) -> None:
    text = tiny.tokenize("the river </s> city " * 9, RAW)
    assert truncate(text, limit).tolist() == [*text.ids[: limit - 1], EOS]


def test_a_template_that_leaves_no_room_is_refused(tiny: FullTokenizer) -> None:
    text = tiny.tokenize("the river", QUERY)
    assert truncate(text, 5).tolist() == [*text.head, text.body[0], EOS]
    assert room(text, 5) == 1
    for limit in (4, 3, 0):
        with pytest.raises(TemplateTooLongError, match=f"alone take 4 of the model's {limit} tokens"):
            truncate(text, limit)


def test_the_template_alone_is_refused_even_for_an_empty_text(tiny: FullTokenizer) -> None:
    with pytest.raises(TemplateTooLongError, match="alone take 2 of the model's 2 tokens"):
        truncate(tiny.tokenize("", RAW), 2)


# Bad files.


def _drop_unknown(tokenizer: dict) -> None:
    tokenizer["model"]["unk_id"] = None


def _damage_normaliser(tokenizer: dict) -> None:
    tokenizer["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}


def _drop_special_token(tokenizer: dict) -> None:
    del tokenizer["post_processor"]["special_tokens"]["<s>"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_unknown, "unk_id"),
        # These two are panics in Rust, which are not even Exceptions.
        (_damage_normaliser, "precompiled_charsmap"),
        (_drop_special_token, "no entry found"),
    ],
)
def test_a_damaged_tokenizer_is_refused_when_it_is_opened(
    tmp_path: Path, damage: Callable[[dict], None], message: str
) -> None:
    path = write_tiny_tokenizer(tmp_path / TOKENIZER_NAME)
    content = json.loads(path.read_text("utf-8"))
    damage(content)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(
        ModelLoadError, match=rf"tokenizer\.json cannot be loaded: .*{message}.*copy the folder"
    ):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "2.0"}', "[" * 100_000])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / TOKENIZER_NAME).write_text(content, "utf-8")
    with pytest.raises(ModelLoadError, match=r"tokenizer\.json cannot be loaded"):
        load_tokenizer(tmp_path)


def test_a_missing_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"tokenizer\.json cannot be loaded"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_that_makes_no_tokens_is_refused(tmp_path: Path) -> None:
    path = write_tiny_tokenizer(tmp_path / TOKENIZER_NAME)
    content = json.loads(path.read_text("utf-8"))
    content["normalizer"] = {"type": "Replace", "pattern": {"Regex": "."}, "content": ""}
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ModelLoadError, match="no token of the letter a"):
        load_tokenizer(tmp_path)


def test_what_is_not_the_librarys_error_passes() -> None:
    with pytest.raises(KeyboardInterrupt), translated_errors("x"):
        raise KeyboardInterrupt


# A million characters, and threads.


@pytest.mark.parametrize(
    ("unit", "tokens"), [("moon ", 200_003), ("xy", 1_000_003), ("e", 1_000_003), ("\x00", 4), (" ", 3)]
)
def test_a_text_of_a_million_characters_is_a_text(tiny: FullTokenizer, unit: str, tokens: int) -> None:
    text = tiny.tokenize(unit * (1_000_000 // len(unit)), RAW)
    assert len(text) == tokens
    assert len(truncate(text, 512)) == min(512, tokens)


_COUNT_THREADS = """
import sys
from pathlib import Path
from e5_onnx.tokens.full_tokenizer import FullTokenizer
from e5_onnx.recipes import Template

def threads():
    return len(list(Path("/proc/self/task").iterdir()))

tokenizer = FullTokenizer(Path(sys.argv[1]))
before = threads()
for text in ("river", "river city " * 20_000):
    tokenizer.tokenize(text, Template("query: ", " end"))
after = threads()
tokenizer._tokenizer.encode_batch(["a", "b", "c", "d"] * 100)
print(after - before, threads() - after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_tokenising_starts_no_threads(tmp_path: Path) -> None:
    path = write_tiny_tokenizer(tmp_path / TOKENIZER_NAME)
    # A pool of two, so that the batch has one on a single core as well.
    result = subprocess.run(
        [sys.executable, "-c", _COUNT_THREADS, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RAYON_NUM_THREADS": "2",
            "TOKENIZERS_PARALLELISM": "true",
        },
    )
    ours, batch = map(int, result.stdout.split())
    assert ours == 0
    # A batch does start them: the count can see what it looks for.
    assert batch >= 2


# The real tokenizer.


@pytest.mark.real
@pytest.mark.parametrize("golden", golden_tokens(), ids=lambda golden: golden.kind)
def test_the_real_tokenizer_gives_the_tokens_of_transformers(
    real: FullTokenizer, golden: GoldenTokens
) -> None:
    assert real.tokenize(golden.text, golden.template).ids.tolist() == golden.ids


@pytest.mark.real
def test_control_characters_before_a_text_do_not_move_the_template(real: FullTokenizer) -> None:
    # The library's character positions are too small here.
    plain = real.tokenize("river", Template("", " end"))
    shifted = real.tokenize("\x01\x02\x03\x04\x05\x06river", Template("", " end"))
    assert parts(shifted) == parts(plain)
    assert parts(real.tokenize("\x9f\x9f\x9f", Template("", " end")))[1] == []
