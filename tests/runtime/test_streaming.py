from __future__ import annotations

from collections.abc import Iterator

import pytest

from e5_onnx.inference.batching import CHUNK_TEXTS
from e5_onnx.text_input.streaming import chunks


class BrokenSourceError(Exception):
    pass


def broken(items: int) -> Iterator[int]:
    yield from range(items)
    raise BrokenSourceError


@pytest.mark.parametrize(
    ("items", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
def test_items_come_in_order_and_in_pieces(items: int, sizes: list[int]) -> None:
    found = list(chunks(range(items), 3))
    assert [len(chunk) for chunk in found] == sizes
    assert [item for chunk in found for item in chunk] == list(range(items))


@pytest.mark.parametrize("items", [0, 2, 3, 5])
def test_what_came_before_an_error_is_yielded_first(items: int) -> None:
    found: list[int] = []
    with pytest.raises(BrokenSourceError):
        found.extend(item for chunk in chunks(broken(items), 3) for item in chunk)
    assert found == list(range(items))


def test_nothing_is_read_ahead_of_a_chunk() -> None:
    read = []

    def source() -> Iterator[int]:
        for item in range(2 * CHUNK_TEXTS):
            read.append(item)
            yield item

    next(chunks(source(), CHUNK_TEXTS))
    assert len(read) == CHUNK_TEXTS
