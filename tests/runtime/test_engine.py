"""The way of a text through the engine, where a fault would cost memory, time or a weight and not be seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from e5_onnx.inference.batching import THREAD_PADDED_TOKENS
from e5_onnx.inference.engine import Engine, Request, merge_rows
from e5_onnx.inference.options import Options
from e5_onnx.opening import open_engine
from e5_onnx.tokens.overflow import TokenRows
from e5_onnx.tokens.windows import split_windows

PATIENCE_S = 120


@pytest.fixture(scope="module")
def engine(tiny_folder: Path) -> Engine:
    options = Options(1, 2048, "warn", False, None, "tokenizers", "auto", "auto", None)
    return open_engine(tiny_folder, options, 1)


def test_windows_of_a_text_are_merged_by_their_tokens() -> None:
    ids = [np.zeros(length, np.int64) for length in (9, 30, 10, 7)]
    rows = TokenRows(ids, [0, 1, 3, 4], np.array([9, 36, 7]), np.zeros(3, bool))
    vectors = np.array([[0, 1], [1, 0], [0, 1], [1, 0]], np.float32)
    expected = [[0, 1], np.array([30, 10]) / np.hypot(30, 10), [1, 0]]
    np.testing.assert_allclose(merge_rows(rows, vectors), expected, atol=1e-7)


def test_the_vector_of_a_windowed_text_is_the_weighted_mean_of_its_windows(engine: Engine) -> None:
    text = "moon over the city of the river " * 12 + "tea in a quiet house"
    request = Request("document", None, "window")
    (tokenized,) = engine.tokenize([text], request)
    windows = split_windows(tokenized, engine.manifest.max_tokens)
    # The last one is far shorter than the others, so that its weight is seen.
    assert len(windows) > 1
    assert len(windows[-1]) < len(windows[0]) / 2
    parts = [engine.session.run(ids[None], np.ones_like(ids[None]))[0] for ids in windows]
    total = sum(len(ids) * part.astype(np.float64) for ids, part in zip(windows, parts, strict=True))
    found = engine.encode(["moon", text], request).vectors[1]
    np.testing.assert_allclose(found, total / np.linalg.norm(total), atol=2e-6)


class Meeting:
    """A session whose runs wait until as many are under way as there are callers."""

    def __init__(self, callers: int) -> None:
        self._barrier = threading.Barrier(callers)
        self.shapes: list[tuple[int, int]] = []

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.shapes.append(ids.shape)
        self._barrier.wait(PATIENCE_S)
        return np.tile(ids.sum(axis=1, keepdims=True), (1, 32)).astype(np.float32)


def together(engine: Engine, callers: int, budget: int, lengths: Iterator[int]) -> list[tuple[int, int]]:
    """Shapes of the batches of rows of these lengths, every one of which met `callers` - 1 others."""
    session = Meeting(callers)
    several = replace(engine, session=session, callers=callers, max_padded_tokens=budget)  # type: ignore[arg-type]
    rows = [np.full(length, number, np.int64) for number, length in enumerate(lengths)]
    vectors = several._run(rows)
    assert vectors[:, 0].tolist() == [len(row) * number for number, row in enumerate(rows)]
    return session.shapes


@pytest.mark.parametrize("callers", [2, 3, 4])
def test_each_caller_runs_a_batch_at_the_same_time(engine: Engine, callers: int) -> None:
    shapes = together(engine, callers, 64 * callers, iter([16] * 4 * 2 * callers))
    assert shapes == [(4, 16)] * 2 * callers


@pytest.mark.parametrize("callers", [2, 4, 8])
def test_batches_that_run_together_keep_to_the_budget(engine: Engine, callers: int) -> None:
    shapes = together(engine, callers, 1024, iter([32] * (1024 // 32)))
    assert len(shapes) == callers
    assert sum(texts * tokens for texts, tokens in shapes) == 1024


def test_one_thread_has_no_batch_larger_than_its_cache(engine: Engine) -> None:
    shapes = together(engine, 2, 1 << 20, iter([64] * 4 * (THREAD_PADDED_TOKENS // 64)))
    assert shapes == [(THREAD_PADDED_TOKENS // 64, 64)] * 4


def test_one_caller_has_the_whole_budget(engine: Engine) -> None:
    session = SimpleNamespace(run=lambda ids, _: np.full((len(ids), 32), len(ids), np.float32))
    alone = replace(engine, session=session, max_padded_tokens=1024)  # type: ignore[arg-type]
    rows = [np.zeros(16, np.int64)] * 64
    assert alone._run(rows)[:, 0].tolist() == [64] * 64
