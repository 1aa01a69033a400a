"""`Embedder.encode_ids`: the graph's way without the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from e5_onnx import Embedder, Mode
from e5_onnx.errors import OptionError

TEXTS = ["moon", "the moon is red and the river is wide", "", "tea", "a city by the sea " * 9]


@pytest.mark.parametrize("mode", get_args(Mode))
def test_ids_give_the_vectors_of_their_texts(mode: Mode, tiny_folder: Path) -> None:
    with Embedder(tiny_folder, threads=2, mode=mode, token_budget=64) as model:
        found = model.encode_ids(model.tokenize(TEXTS, role="query"))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, model.embed_queries(TEXTS), atol=1e-6)


def test_no_texts_give_no_vectors(tiny_folder: Path) -> None:
    with Embedder(tiny_folder) as model:
        assert model.encode_ids([]).shape == (0, model.dimension)


def test_the_longest_text_is_taken(tiny_folder: Path) -> None:
    with Embedder(tiny_folder) as model:
        (vector,) = model.encode_ids([np.full(model.max_tokens, 5)])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            np.array([], np.int64),
            r"the shape of ids\[1\] is \(0,\); it must be an array of 1 to 128 token ids",
        ),
        (np.full(129, 5), r"the shape of ids\[1\] is \(129,\)"),
        (np.ones((1, 3), np.int64), r"the shape of ids\[1\] is \(1, 3\)"),
        (
            np.array([0, 5.5, 2]),
            r"the dtype of ids\[1\] is 'float64'; it must be an integer dtype such as int64",
        ),
        (np.array([0, -1, 2]), r"an id of ids\[1\] is -1; it must be 0 to \d+$"),
        (np.array([0, 10**6, 2]), r"an id of ids\[1\] is 1000000"),
    ],
)
def test_ids_that_the_model_does_not_take(row: np.ndarray, message: str, tiny_folder: Path) -> None:
    with Embedder(tiny_folder) as model, pytest.raises(OptionError, match=message):
        model.encode_ids([np.array([0, 5, 2]), row])
