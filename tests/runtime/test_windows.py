from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e5_onnx.errors import TemplateTooLongError
from e5_onnx.tokens.tokenization import TokenizedText
from e5_onnx.tokens.windows import merge_windows, split_windows

HEAD, TAIL = np.array([0, 100]), np.array([2])


def text(tokens: int) -> TokenizedText:
    return TokenizedText(HEAD, np.arange(1000, 1000 + tokens), TAIL)


@given(tokens=st.integers(0, 300), limit=st.integers(4, 64))
def test_windows_fit_keep_the_template_and_lose_no_token(tokens: int, limit: int) -> None:
    windows = split_windows(text(tokens), limit)
    bodies = [window[2:-1] for window in windows]
    assert all(len(window) <= limit for window in windows)
    assert all(window[:2].tolist() == [0, 100] and window[-1] == 2 for window in windows)
    assert {token for body in bodies for token in body.tolist()} == set(range(1000, 1000 + tokens))
    assert [body[0] for body in bodies if len(body)] == sorted({body[0] for body in bodies if len(body)})


@pytest.mark.parametrize(("tokens", "count"), [(0, 1), (8, 1), (9, 2), (15, 2), (16, 3)])
def test_number_of_windows(tokens: int, count: int) -> None:
    # 11 tokens less 3 of the template leave 8, of which one is seen twice.
    assert len(split_windows(text(tokens), 11)) == count


def test_windows_of_one_token() -> None:
    assert [window[2:-1].tolist() for window in split_windows(text(3), 4)] == [[1000], [1001], [1002]]
    assert len(split_windows(text(1), 4)) == len(split_windows(text(0), 4)) == 1


def test_windows_overlap_by_an_eighth() -> None:
    first, second = split_windows(text(80), 3 + 56)
    assert first[-8:-1].tolist() == second[2:9].tolist() == list(range(1049, 1056))


def test_a_template_that_fills_the_model_is_refused() -> None:
    with pytest.raises(TemplateTooLongError, match="take 3 of the model's 3 tokens"):
        split_windows(text(5), 3)


def test_merging_weighs_by_length_and_normalises() -> None:
    vectors = np.array([[1, 0], [0, 1]], np.float32)
    merged = merge_windows(vectors, np.array([30, 10]))
    assert merged.dtype == np.float32
    np.testing.assert_allclose(merged, np.array([3, 1]) / np.sqrt(10), atol=1e-7)


def test_merging_opposite_windows_gives_no_nan() -> None:
    assert np.isfinite(merge_windows(np.array([[1, 0], [-1, 0]], np.float32), np.array([5, 5]))).all()
