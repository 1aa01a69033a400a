from __future__ import annotations

import numpy as np
import pytest

from e5_onnx.errors import OptionError, TemplateTooLongError, TextTooLongError
from e5_onnx.tokens.overflow import check_policy, fit
from e5_onnx.tokens.tokenization import TokenizedText


def text(tokens: int) -> TokenizedText:
    return TokenizedText(np.array([0]), np.arange(10, 10 + tokens), np.array([2]))


@pytest.mark.parametrize("policy", ["warn", "truncate"])
def test_long_texts_are_cut_and_counted(policy: str) -> None:
    rows = fit([text(2), text(9)], 6, policy)  # type: ignore[arg-type]
    assert [row.tolist() for row in rows.ids] == [[0, 10, 11, 2], [0, 10, 11, 12, 13, 2]]
    assert rows.tokens.tolist() == [4, 11]
    assert rows.truncated.tolist() == [False, True]
    assert rows.first == [0, 1, 2]


def test_error_names_the_first_long_text_by_its_own_number() -> None:
    with pytest.raises(TextTooLongError, match="text 7 has 11 tokens, the model takes 6") as caught:
        fit([text(2), text(9), text(20)], 6, "error", first_index=6)
    assert (caught.value.index, caught.value.tokens, caught.value.limit) == (7, 11, 6)


def test_error_lets_texts_pass_that_fit() -> None:
    rows = fit([text(4)], 6, "error")
    assert rows.truncated.tolist() == [False]


def test_windows_keep_everything() -> None:
    rows = fit([text(2), text(9)], 6, "window")
    assert rows.first == [0, 1, 4]
    assert all(len(row) <= 6 for row in rows.ids)
    assert rows.tokens.tolist() == [4, 11]
    assert not rows.truncated.any()


def test_no_texts_make_no_rows() -> None:
    rows = fit([], 6, "warn")
    assert (rows.ids, rows.first, len(rows.tokens), len(rows.truncated)) == ([], [0], 0, 0)


def test_a_template_without_room_is_refused() -> None:
    with pytest.raises(TemplateTooLongError):
        fit([text(1)], 2, "truncate")


@pytest.mark.parametrize("role", ["query", "document", "raw"])
@pytest.mark.parametrize("policy", ["warn", "error", "truncate", "window"])
def test_only_windows_of_a_query_are_refused(policy: str, role: str) -> None:
    if (policy, role) == ("window", "query"):
        with pytest.raises(OptionError, match="windows are for documents"):
            check_policy(policy, role)  # type: ignore[arg-type]
    else:
        check_policy(policy, role)  # type: ignore[arg-type]


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(
        OptionError, match="overflow is 'drop'; it must be one of warn, error, truncate, window"
    ):
        check_policy("drop", "document")
