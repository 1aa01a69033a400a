"""The shipped texts: enough of them, what they claim to be, and no text in two sets."""

from __future__ import annotations

import unicodedata

import pytest

from e5_onnx_export.texts import (
    calibration_texts,
    golden_texts,
    held_out_texts,
    odd_calibration_texts,
    odd_held_out_texts,
    parity_texts,
)

SETS = {
    "parity": parity_texts(),
    "golden": golden_texts(),
    "calibration": calibration_texts(),
    "held_out": held_out_texts(),
}
# Texts, languages, scripts.
LEAST = {
    "parity": (56, 40, 20),
    "golden": (12, 12, 12),
    "calibration": (96, 30, 16),
    "held_out": (64, 20, 10),
}

over_sets = pytest.mark.parametrize("name", SETS)


def letters(text):
    return [character for character in text if character.isalpha()]


def in_script(character, script):
    prefixes = {"Han": ("CJK",), "Kana": ("CJK", "HIRAGANA", "KATAKANA")}.get(script, (script.upper(),))
    return unicodedata.name(character).startswith(prefixes)


def words(text):
    """Runs of six word characters: shared ones give away a text that was copied and changed a little."""
    split = text.casefold().split()
    parts = split if len(split) > 3 else letters(text)
    size = 4 if parts is split else 10
    return {tuple(parts[start : start + size]) for start in range(len(parts) - size + 1)}


@over_sets
def test_there_are_enough(name):
    samples = SETS[name]
    texts, languages, scripts = LEAST[name]
    assert len(samples) >= texts
    assert len({sample.language for sample in samples} - {"zxx"}) >= languages
    assert len({sample.script for sample in samples} - {"Common"}) >= scripts


@over_sets
def test_every_text_is_normal_unicode(name):
    for sample in SETS[name]:
        assert unicodedata.is_normalized("NFC", sample.text), sample
        assert not any(unicodedata.category(character) in {"Cs", "Co", "Cn"} for character in sample.text), (
            sample
        )
        assert "\ufffd" not in sample.text
        assert sample.role in {"query", "document"}


@over_sets
def test_every_text_is_in_its_script(name):
    for sample in SETS[name]:
        found = letters(sample.text)
        if sample.script == "Common":
            assert not found or sample.language == "zxx", sample
        else:
            inside = sum(in_script(character, sample.script) for character in found)
            assert inside > 0.8 * len(found), sample


@over_sets
def test_both_roles_are_there(name):
    queries = sum(sample.role == "query" for sample in SETS[name])
    assert 0.25 < queries / len(SETS[name]) < 0.75


def test_no_text_is_there_twice():
    texts = [sample.text for samples in SETS.values() for sample in samples]
    assert len(texts) == len(set(texts))


def test_what_judges_shares_no_phrase_with_what_calibrates():
    calibration = set().union(*(words(sample.text) for sample in calibration_texts()))
    for sample in held_out_texts():
        assert not words(sample.text) & calibration, sample


@pytest.mark.parametrize("odd", [odd_calibration_texts(), odd_held_out_texts()], ids=["seen", "held out"])
def test_odd_texts_are_of_every_kind(odd):
    texts = [sample.text for sample in odd]
    assert "" in texts
    assert sum(len(text) == 1 for text in texts) >= 5
    assert any(len(set(text)) == 1 and len(text) >= 3000 for text in texts)
    assert sum(len(text) > 10 and not letters(text) and not text.isascii() for text in texts) >= 2
    assert sum("{" in text or "://" in text or ";" in text for text in texts) >= 3
    assert {sample.role for sample in odd} == {"query", "document"}


def test_odd_texts_that_judge_are_not_those_that_calibrate():
    seen, judged = (
        {(text.role, text.text) for text in texts}
        for texts in (odd_calibration_texts(), odd_held_out_texts())
    )
    assert not seen & judged
    assert {text for _, text in seen} & {text for _, text in judged} <= {""}


def test_parity_texts_span_all_lengths():
    lengths = [len(sample.text) for sample in parity_texts()]
    assert min(lengths) == 0
    assert max(lengths) > 2500  # characters of English: well over 512 tokens
    assert sum(length > 300 for length in lengths) >= 4
    assert sum(0 < length <= 3 for length in lengths) >= 2


def test_parity_texts_have_what_trips_tokenizers():
    texts = [sample.text for sample in parity_texts()]
    for needed in ("\n", "\t", "  ", "\u200d", "\u00ad", "🙂", "def ", "SELECT", "€", "«"):
        assert any(needed in text for text in texts), needed


@pytest.mark.parametrize("name", ["calibration", "held_out"])
def test_short_and_long_texts_are_mixed(name):
    samples = SETS[name]
    spaced = [
        sample for sample in samples if sample.script not in {"Han", "Kana", "Thai", "Khmer", "Myanmar"}
    ]
    assert sum(len(sample.text.split()) <= 10 for sample in spaced) >= 30
    long = [
        sample for sample in samples if len(sample.text.split()) >= 100 or len(letters(sample.text)) >= 200
    ]
    assert len({sample.language for sample in long}) >= 10
    assert any(len(sample.text.split()) >= 150 for sample in long)


def test_golden_texts_are_short_enough_for_any_model():
    assert max(len(sample.text) for sample in golden_texts()) < 400
