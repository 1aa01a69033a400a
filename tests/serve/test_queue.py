"""Which rows run next: every row once, batches within the budget, and nobody waits for a bulk request."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from e5_onnx.serve.queue import FairQueue, Ticket, TwoLines

BUDGET = 64


def ticket(*lengths: int) -> Ticket:
    rows = [np.full(length, length, np.int64) for length in lengths]
    return Ticket(rows, np.zeros((len(rows), 1), np.float32))


def drain(queue: FairQueue) -> list[list[tuple[Ticket, int]]]:
    batches = []
    while (batch := queue.next_batch()) is not None:
        batches.append(batch.parts)
    return batches


@given(st.lists(st.lists(st.integers(1, 100), min_size=1, max_size=20), min_size=1, max_size=6))
def test_every_row_runs_once_and_within_the_budget(requests: list[list[int]]) -> None:
    queue = FairQueue(BUDGET)
    tickets = [ticket(*lengths) for lengths in requests]
    for one in tickets:
        queue.add(one)
    assert queue.tokens == sum(map(sum, requests))
    batches = drain(queue)
    assert queue.tokens == 0
    ran = [(id(one), index) for batch in batches for one, index in batch]
    assert sorted(ran) == sorted((id(one), index) for one in tickets for index in range(len(one.rows)))
    for batch in batches:
        longest = max(len(one.rows[index]) for one, index in batch)
        assert len(batch) == 1 or longest * len(batch) <= BUDGET


def test_vectors_go_to_their_rows() -> None:
    queue = FairQueue(BUDGET)
    one, two = ticket(5, 3), ticket(4)
    queue.add(one)
    queue.add(two)
    while (batch := queue.next_batch()) is not None:
        batch.deliver(np.array([[row[0]] for row in batch.rows], np.float32))
        assert set(map(id, batch.tickets)) <= {id(one), id(two)}
    assert one.is_done
    assert two.is_done
    assert one.vectors[:, 0].tolist() == [5, 3]
    assert two.vectors[:, 0].tolist() == [4]


def test_a_single_text_waits_for_no_bulk_request() -> None:
    queue = FairQueue(BUDGET)
    bulk = ticket(*[16] * 100)
    queue.add(bulk)
    queue.next_batch()
    single = ticket(8)
    queue.add(single)
    batch = queue.next_batch()
    assert batch is not None
    assert [one for one, _ in batch.parts] == [single]


def test_a_bulk_request_does_not_starve() -> None:
    queue = FairQueue(BUDGET)
    bulk = ticket(*[16] * 100)
    queue.add(bulk)
    queue.next_batch()
    owners = []
    for _ in range(6):
        queue.add(ticket(8))
        batch = queue.next_batch()
        assert batch is not None
        owners.append(batch.parts[0][0] is bulk)
    assert owners == [False, True] * 3


def test_two_bulk_requests_take_turns() -> None:
    queue = FairQueue(BUDGET)
    one, two = ticket(*[16] * 40), ticket(*[16] * 40)
    queue.add(one)
    queue.add(two)
    drain_order = [batch[0][0] is one for batch in drain(queue)]
    first_half = drain_order[: len(drain_order) // 2]
    assert 0.3 <= sum(first_half) / len(first_half) <= 0.7


def test_requests_of_medium_size_do_not_starve_a_larger_one() -> None:
    queue = FairQueue(BUDGET)
    large = ticket(*[32] * 30)
    queue.add(large)
    clients = {number: ticket(32, 32, 32, 32) for number in range(15)}
    for small in clients.values():
        queue.add(small)
    batches = 0
    # Each client sends its next request as soon as it has its answer, so that the queue is never empty.
    while not large.is_done and batches < 2000:
        batch = queue.next_batch()
        assert batch is not None
        batch.deliver(np.zeros((len(batch.rows), 1), np.float32))
        batches += 1
        for number, small in clients.items():
            if small.is_done:
                clients[number] = ticket(32, 32, 32, 32)
                queue.add(clients[number])
    # Two rows a batch, and one turn in sixteen of every second batch.
    assert batches <= 2 * 16 * 15


def test_what_is_removed_does_not_run() -> None:
    queue = FairQueue(BUDGET)
    gone, stays = ticket(16, 16, 16, 16, 16, 16), ticket(8)
    queue.add(gone)
    queue.next_batch()
    queue.add(stays)
    queue.remove(gone)
    queue.remove(gone)
    assert queue.tokens == 8
    assert [[one is stays for one, _ in batch] for batch in drain(queue)] == [[True]]


def lengths(queue: FairQueue) -> list[tuple[Ticket, int]]:
    """Of the next batch: each row's owner and length."""
    batch = queue.next_batch()
    assert batch is not None
    return [(one, len(one.rows[index])) for one, index in batch.parts]


def test_the_first_turn_is_of_256_cells_and_the_next_of_a_whole_batch() -> None:
    queue = FairQueue(1024)
    tickets = [ticket(*[16] * 100) for _ in range(5)]
    for one in tickets:
        queue.add(one)
    # Four fresh requests fill a batch, each with 16 rows of 16; the fifth is fresh still.
    assert [one for one, _ in lengths(queue)] == [one for one in tickets[:4] for _ in range(16)]
    assert [one for one, _ in lengths(queue)] == tickets[4:] * 16
    assert [one for one, _ in lengths(queue)] == tickets[:1] * 64
    assert [one for one, _ in lengths(queue)] == tickets[1:2] * 64


def test_a_first_row_that_is_larger_than_a_turn_still_runs() -> None:
    queue = FairQueue(1024)
    one = ticket(300, 300)
    queue.add(one)
    assert lengths(queue) == [(one, 300)]
    assert lengths(queue) == [(one, 300)]


def test_rows_run_longest_first_beside_others_of_their_length() -> None:
    queue = FairQueue(64)
    one = ticket(1, 20, 3, 30, 2, 16, 8, 16, 40)
    queue.add(one)
    batches = [[length for _, length in lengths(queue)] for _ in range(4)]
    assert batches == [[40], [30, 20], [16, 16, 8, 3], [2, 1]]
    assert queue.next_batch() is None


def test_the_two_lines_go_in_turns() -> None:
    lines: TwoLines[str] = TwoLines()
    assert not lines.next_line()
    lines.served += "ab"
    assert lines.next_line() is lines.served
    lines.fresh += "xy"
    found = [lines.next_line() is lines.fresh for _ in range(4)]
    assert found == [True, False, True, False]
    assert (lines.leave("a"), lines.leave("x"), lines.leave("x")) == (True, True, False)
    assert (list(lines.served), list(lines.fresh)) == (["b"], ["y"])
    lines.served.clear()
    assert [lines.next_line() is lines.fresh for _ in range(2)] == [True, True]
