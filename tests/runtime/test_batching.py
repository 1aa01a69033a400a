from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from e5_onnx.inference.batching import pad, plan_batches

LENGTHS = st.lists(st.integers(2, 600), max_size=80)


@given(lengths=LENGTHS, budget=st.integers(1, 4096))
def test_every_text_is_in_one_batch_and_no_batch_is_over_budget(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        cells = len(batch) * max(lengths[index] for index in batch)
        assert cells <= budget or len(batch) == 1


@given(lengths=LENGTHS, budget=st.integers(1, 4096))
@example(lengths=[3] * 80, budget=200)
def test_a_batch_ends_only_where_the_next_text_would_be_over_budget(lengths: list[int], budget: int) -> None:
    for batch in plan_batches(lengths, budget)[:-1]:
        assert (len(batch) + 1) * max(lengths[index] for index in batch) > budget


@given(lengths=LENGTHS, budget=st.integers(1, 4096))
def test_no_text_is_padded_to_a_length_that_an_earlier_batch_could_have_had(
    lengths: list[int], budget: int
) -> None:
    batches = plan_batches(lengths, budget)
    for batch, later in itertools.pairwise(batches):
        assert min(lengths[index] for index in batch) >= max(lengths[index] for index in later)


@given(lengths=LENGTHS)
def test_the_largest_batch_comes_first(lengths: list[int]) -> None:
    longest = [max(lengths[index] for index in batch) for batch in plan_batches(lengths, 512)]
    assert longest == sorted(longest, reverse=True)


@pytest.mark.parametrize(
    ("lengths", "budget", "batches"),
    [
        ([], 8, []),
        ([4, 2, 4, 2], 8, [[0, 2], [1, 3]]),
        ([9], 8, [[0]]),
        ([1, 1, 1], 2, [[0, 1], [2]]),
        ([4] * 80, 256, [[*range(64)], [*range(64, 80)]]),
    ],
)
def test_batches_of_known_lengths(lengths: list[int], budget: int, batches: list[list[int]]) -> None:
    assert plan_batches(lengths, budget) == batches


def test_pad_puts_rows_at_the_left() -> None:
    ids, mask = pad([np.array([5, 6, 7]), np.array([8])])
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert (ids.dtype, mask.dtype) == (np.int64, np.int64)
