from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from golden_tokens import GoldenTokens, golden_tokens, real_tokenizer_json
from tiny_tokenizers import write_tiny_bert_tokenizer, write_tiny_tokenizer

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx.recipes import E5_INSTRUCT, Template
from e5_onnx.tokens.full_tokenizer import FullTokenizer
from e5_onnx.tokens.tokenization import truncate
from e5_onnx_export.texts import calibration_texts, parity_texts
from e5_onnx_export.texts.varied_texts import varied_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

pytestmark = pytest.mark.reference

TEMPLATES = (Template(), Template("query: "), E5_INSTRUCT.template("query"))
LIMITS = (40, 64, 512)


def truth_for(path: Path) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(path))


@pytest.fixture(scope="module")
def real() -> tuple[FullTokenizer, PreTrainedTokenizerFast]:
    return FullTokenizer(real_tokenizer_json()), truth_for(real_tokenizer_json())


def assert_equal(
    tokenizer: FullTokenizer, truth: PreTrainedTokenizerFast, *, text: str, template: Template
) -> None:
    rendered = template.before + text + template.after
    tokenized = tokenizer.tokenize(text, template)
    assert tokenized.ids.tolist() == truth(rendered)["input_ids"]
    for limit in LIMITS:
        expected = truth(rendered, truncation=True, max_length=limit)["input_ids"]
        assert truncate(tokenized, limit).tolist() == expected


@pytest.mark.real
@pytest.mark.parametrize("golden", golden_tokens(), ids=lambda golden: golden.kind)
def test_golden_ids_are_those_of_transformers(
    real: tuple[FullTokenizer, PreTrainedTokenizerFast], golden: GoldenTokens
) -> None:
    template = golden.template
    assert real[1](template.before + golden.text + template.after)["input_ids"] == golden.ids
    if not template.after:
        assert_equal(*real, text=golden.text, template=template)


def test_the_golden_set_covers_what_it_should() -> None:
    golden = golden_tokens()
    kinds = {row.kind for row in golden}
    scripts = {sample.script for sample in parity_texts()}
    assert len(kinds & scripts) >= 20
    assert kinds >= {"emoji", "control", "white space", "blank", "empty", "600 tokens", "special tokens"}
    assert sum(len(row.ids) >= 600 for row in golden) >= 3
    assert {row.template.before for row in golden} >= {template.before for template in TEMPLATES}


@pytest.mark.real
@pytest.mark.parametrize("template", TEMPLATES)
def test_sample_texts_have_the_tokens_of_transformers(
    real: tuple[FullTokenizer, PreTrainedTokenizerFast], template: Template
) -> None:
    for sample in (*parity_texts(), *calibration_texts()):
        assert_equal(*real, text=sample.text, template=template)


@pytest.mark.real
def test_varied_texts_have_the_tokens_of_transformers(
    real: tuple[FullTokenizer, PreTrainedTokenizerFast],
) -> None:
    sentences = [sample.text for sample in parity_texts()]
    for index, text in enumerate(varied_texts(sentences, 1500)):
        assert_equal(*real, text=text, template=TEMPLATES[index % len(TEMPLATES)])


@pytest.mark.parametrize("write", [write_tiny_tokenizer, write_tiny_bert_tokenizer])
@pytest.mark.parametrize("template", TEMPLATES)
def test_tiny_tokenizers_give_the_tokens_of_transformers(
    tmp_path: Path, write: Callable[[Path], Path], template: Template
) -> None:
    path = write(tmp_path / TOKENIZER_NAME)
    tokenizer, truth = FullTokenizer(path), truth_for(path)
    # The longest template takes 37 tokens here.
    for text in varied_texts(["The river is wide.", "Где город? 東京"], 200):
        rendered = template.before + text
        tokenized = tokenizer.tokenize(text, template)
        assert tokenized.ids.tolist() == truth(rendered)["input_ids"]
        expected = truth(rendered, truncation=True, max_length=100)["input_ids"]
        assert truncate(tokenized, 100).tolist() == expected
