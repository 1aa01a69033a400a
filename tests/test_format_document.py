"""docs/format.md names every key of e5.json and every array of golden.npz, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from data.make_tiny_e5 import make_tiny_e5

from e5_onnx.model_folder.manifest import GOLDEN_NAME, MANIFEST_NAME, Manifest, Precision

DOCUMENT = (Path(__file__).parents[1] / "docs" / "format.md").read_text("utf-8")
NOT_IN_THE_FILE = {"extra"}
NAMED_BY_THEIR_USERS = {"files", "tools"}


def rows(heading: str) -> list[str]:
    """The first cells of the tables under a heading, where they are code."""
    text = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def declared_keys(kind: type, path: str = "") -> Iterator[str]:
    """Dotted paths of a dataclass's fields, and of those of the dataclasses in them."""
    hints = get_type_hints(kind)
    for entry in fields(kind):
        if entry.name in NOT_IN_THE_FILE:
            continue
        yield path + entry.name
        hint = hints[entry.name]
        for inner in (hint, *get_args(hint)):
            if isinstance(inner, type) and is_dataclass(inner):
                step = "*." if entry.name in NAMED_BY_THEIR_USERS else ""
                yield from declared_keys(inner, f"{path}{entry.name}.{step}")


def written_keys(value: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of what stands in a JSON file."""
    if isinstance(value, list):
        for item in value:
            yield from written_keys(item, f"{path}.*")
    if isinstance(value, dict):
        for key, item in value.items():
            name = "*" if path in NAMED_BY_THEIR_USERS else key
            inner = f"{path}.{name}" if path else name
            yield inner
            yield from written_keys(item, inner)


def test_every_declared_key_has_a_row() -> None:
    assert set(declared_keys(Manifest)) - set(rows("e5.json")) == set()


def test_no_key_has_two_rows() -> None:
    assert len(rows("e5.json")) == len(set(rows("e5.json")))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_key_that_is_written_has_a_row(tmp_path: Path, precision: Precision) -> None:
    folder = make_tiny_e5(tmp_path / precision, precision=precision)
    written = set(written_keys(json.loads((folder / MANIFEST_NAME).read_text("utf-8"))))
    # Described as being like `parity`.
    parity = [row for row in rows("e5.json") if row.startswith("parity.")]
    described = {*rows("e5.json"), *(f"{other}_{row}" for other in ("fp32", "odd") for row in parity)}
    assert written - described == {"files.*", "tools.*"}


def test_every_array_has_a_row(tiny_folder: Path) -> None:
    with np.load(tiny_folder / GOLDEN_NAME, allow_pickle=False) as arrays:
        assert sorted(arrays) == sorted(rows("golden.npz"))


def test_every_file_has_a_row(tiny_folder: Path) -> None:
    named = set(re.findall(r"^\| `([^`]+)` \|", DOCUMENT.split("\n## ")[0], re.MULTILINE))
    assert {file.name for file in tiny_folder.iterdir()} <= named
