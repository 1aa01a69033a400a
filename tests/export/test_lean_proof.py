from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_tokens import real_tokenizer_json
from tiny_tokenizers import write_plain_tiny_tokenizer, write_tiny_bert_tokenizer, write_tiny_tokenizer

from e5_onnx.model_folder.manifest import LEAN_TOKENIZER_NAME, TOKENIZER_NAME, LeanProof
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, Recipe, Template
from e5_onnx.tokens.lean_tokenizer import DOUBTFUL, LeanTokenizer, installed_version, open_lean
from e5_onnx.tokens.tokenization import TokenizedText
from e5_onnx_export.compare import lean_proof
from e5_onnx_export.compare.lean_proof import prove_lean
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.texts.varied_texts import every_character, varied_texts

SENTENCES = ("The river is wide.", "Где находится город?", "東京は大きい。")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof of a second instead of ten."""
    monkeypatch.setattr(lean_proof, "_VARIED", 300)
    monkeypatch.setattr(lean_proof, "every_character", lambda: iter(["a b c", "\x01"]))


def choice(recipe: Recipe) -> EncodingChoice:
    return EncodingChoice(recipe, "mean", 32)


def refused(folder: Path, recipe: Recipe = E5_PREFIX) -> str:
    """Returns the reason, once it is sure that nothing is left."""
    reasons: list[str] = []
    assert prove_lean(folder, choice(recipe), tell=reasons.append) is None
    assert not (folder / LEAN_TOKENIZER_NAME).exists()
    assert len(reasons) == 1
    return reasons[0]


def needs_tokie() -> None:
    pytest.importorskip("tokie", reason="tokie, the [lean] extra, is not installed")


# Proofs.


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "recipe", [E5_PREFIX, E5_INSTRUCT, PLAIN, Recipe("custom", "{task} {text}\nit", "{text}")]
)
def test_an_equal_tokenizer_is_proved_and_kept(tmp_path: Path, recipe: Recipe) -> None:
    needs_tokie()
    write_plain_tiny_tokenizer(tmp_path / TOKENIZER_NAME)
    reasons: list[str] = []
    proof = prove_lean(tmp_path, choice(recipe), tell=reasons.append)
    assert reasons == []
    assert proof is not None
    assert (proof.library, proof.version) == ("tokie", installed_version())
    assert proof.texts >= 300 + 2 + 200
    assert len(open_lean(tmp_path).tokenize("the river", Template())) == 4


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("recipe", [E5_PREFIX, E5_INSTRUCT])
def test_the_real_tokenizer_is_proved_equal(tmp_path: Path, recipe: Recipe) -> None:
    needs_tokie()
    (tmp_path / TOKENIZER_NAME).write_bytes(real_tokenizer_json().read_bytes())
    proof = prove_lean(tmp_path, choice(recipe))
    assert isinstance(proof, LeanProof)
    assert proof.texts > 40_000


# No proof, and no error either.


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("write", [write_tiny_tokenizer, write_tiny_bert_tokenizer])
def test_other_tokens_are_no_proof(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    needs_tokie()
    # tokie knows a few normalisers and guesses; for BERT's it takes other characters for unassigned.
    write(tmp_path / TOKENIZER_NAME)
    assert "no lean tokenizer: tokie makes other tokens of " in refused(tmp_path)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("part", ["head", "body", "tail"])
def test_another_split_of_the_same_tokens_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    needs_tokie()
    write_plain_tiny_tokenizer(tmp_path / TOKENIZER_NAME)
    tokenize = LeanTokenizer.tokenize

    def moved(self: LeanTokenizer, text: str, template: Template) -> TokenizedText:
        split = {name: getattr(tokenize(self, text, template), name) for name in ("head", "body", "tail")}
        split[part] = split[part][:-1]
        return TokenizedText(**split)

    monkeypatch.setattr(LeanTokenizer, "tokenize", moved)
    assert "makes other tokens" in refused(tmp_path)


@pytest.mark.parametrize(
    ("query", "document"), [("query:{text}", "{text}"), ("{text}", "({text})"), ("{task}{text}", "{text}")]
)
def test_templates_that_touch_the_text_are_no_proof(tmp_path: Path, query: str, document: str) -> None:
    needs_tokie()
    write_plain_tiny_tokenizer(tmp_path / TOKENIZER_NAME)
    assert "no white space between text and template" in refused(tmp_path, Recipe("custom", query, document))


def test_without_tokie_there_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plain_tiny_tokenizer(tmp_path / TOKENIZER_NAME)
    (tmp_path / LEAN_TOKENIZER_NAME).write_bytes(b"an older one")
    monkeypatch.setitem(sys.modules, "tokie", None)
    installed_version.cache_clear()
    assert "tokie is not installed" in refused(tmp_path)


def test_a_tokenizer_that_tokie_does_not_understand_is_no_proof(tmp_path: Path) -> None:
    needs_tokie()
    (tmp_path / TOKENIZER_NAME).write_text(json.dumps({"model": {"type": "unheard of"}}), "utf-8")
    assert "tokenizer.json cannot be loaded" in refused(tmp_path)


def test_the_reason_may_be_left_unheard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokie", None)
    installed_version.cache_clear()
    assert prove_lean(tmp_path, choice(PLAIN)) is None


# The texts.


def test_varied_texts_are_the_same_every_time() -> None:
    texts = list(varied_texts(SENTENCES, 2500))
    assert texts == list(varied_texts(SENTENCES, 2500))
    assert texts[:1000] == list(varied_texts(SENTENCES, 1000))
    assert len(set(texts)) > 1500


def test_varied_texts_are_varied_and_valid() -> None:
    texts = list(varied_texts(SENTENCES, 4000))
    everything = "".join(texts)
    everything.encode()
    for part in ("<mask>", "</s>", "\x00", "\u200b", "👨‍👩‍👧", "     ", "river", "город", "東京"):
        assert part in everything
    planes = {ord(char) >> 12 for char in everything}
    assert planes >= set(range(0x20)) - {0xD}  # surrogates
    assert max(map(len, texts)) > 20_000
    assert any(len(text) >= 1000 and " " not in text for text in texts)


def test_every_character_is_there_but_the_doubtful_ones() -> None:
    found = set("".join(every_character()))
    assert set(map(chr, range(0x10000))) - found == {
        char for char in map(chr, range(0x10000)) if DOUBTFUL.match(char) or "\ud800" <= char <= "\udfff"
    }
    assert {"\U0001f600", "\U0002f800", "\U000e0001"} <= found
    assert not DOUBTFUL.search("".join(found))
