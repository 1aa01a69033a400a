"""Small sets of texts in many languages, written for this project.

parity.json       what an export is compared on: 25 scripts, from nothing at all to more than 512 tokens
golden.json       stored with its vectors in every model folder, for `e5 verify`
calibration.json  what the int8 quantiser looks at: 65 languages, queries and documents of many kinds
held_out.json     what its result is judged on: nothing that calibration has seen
odd_calibration.json, odd_held_out.json
                  what no person writes and every service gets: nothing, one sign, emoji, code, repetitions
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from e5_onnx.recipes import Role

__all__ = [
    "SampleText",
    "calibration_texts",
    "golden_texts",
    "held_out_texts",
    "odd_calibration_texts",
    "odd_held_out_texts",
    "parity_texts",
]

_JOIN: Final = " "


@dataclass(frozen=True, slots=True)
class SampleText:
    """A text and what it is.

    Attributes:
        language: BCP 47 tag; `zxx` for code, numbers and signs, `und` for odd texts.
        script: Unicode's name of it, with Han for Chinese and Kana for Japanese; `Common` for signs alone,
            `Unknown` for odd texts.
        role: `query` or `document`.
        text: Without any template, in Unicode NFC.
    """

    language: str
    script: str
    role: Role
    text: str


def parity_texts() -> tuple[SampleText, ...]:
    """Returns the texts that an export is compared with its reference on."""
    return _load("parity.json")


def golden_texts() -> tuple[SampleText, ...]:
    """Returns the texts whose vectors go into golden.npz, one or two a script."""
    return _load("golden.json")


def calibration_texts() -> tuple[SampleText, ...]:
    """Returns the texts that channel balance is computed from."""
    return _load("calibration.json")


def held_out_texts() -> tuple[SampleText, ...]:
    """Returns the texts that a quantised model is judged on; none is in the calibration set."""
    return _load("held_out.json")


def odd_calibration_texts() -> tuple[SampleText, ...]:
    """Returns the odd texts that static scales are chosen on."""
    return _load("odd_calibration.json")


def odd_held_out_texts() -> tuple[SampleText, ...]:
    """Returns the odd texts that static scales are judged on; none is in the calibration set."""
    return _load("odd_held_out.json")


@cache
def _load(name: str) -> tuple[SampleText, ...]:
    rows = json.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
    return tuple(SampleText(row["language"], row["script"], row["role"], _repeated(row)) for row in rows)


def _repeated(row: dict[str, Any]) -> str:
    text: str = row.get("join", _JOIN).join([row["text"]] * row.get("repeat", 1))
    return text
