"""The order in which texts run: fair between requests, in batches that fit the cache of one thread.

A new request goes first, so that a single query waits for one running batch and not for a request of two
thousand texts. The other requests take turns: with least served first, the largest request would wait as
long as smaller ones keep coming. A text's vector does not depend on its batch, so requests may share one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from e5_onnx.inference.batching import BatchShape

T = TypeVar("T")

# Padded tokens of a request in its first turn, in which it runs beside other fresh ones.
_FIRST_TURN: Final = 256


@dataclass(eq=False, slots=True)
class Ticket:
    """One request's rows.

    Attributes:
        rows: Token ids of each.
        vectors: float32 [rows, dimension], filled in as batches are done.
        waiting: Indices of rows that are in no batch yet, shortest first.
        running: Rows that are in one.
    """

    rows: Sequence[NDArray[np.int64]]
    vectors: NDArray[np.float32]
    waiting: list[int] = field(init=False)
    running: int = 0

    def __post_init__(self) -> None:
        self.waiting = sorted(range(len(self.rows)), key=lambda index: len(self.rows[index]))

    @property
    def tokens(self) -> int:
        """Number of tokens of the rows that wait."""
        return sum(len(self.rows[index]) for index in self.waiting)

    @property
    def is_done(self) -> bool:
        """Whether every row has its vector."""
        return not self.waiting and not self.running


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that run together.

    Attributes:
        parts: A ticket and the index of its row, for each text.
    """

    parts: list[tuple[Ticket, int]]

    @property
    def rows(self) -> list[NDArray[np.int64]]:
        """Token ids of each."""
        return [ticket.rows[index] for ticket, index in self.parts]

    @property
    def tickets(self) -> list[Ticket]:
        """The tickets of the batch, each once."""
        return list({id(ticket): ticket for ticket, _ in self.parts}.values())

    def deliver(self, vectors: NDArray[np.float32]) -> None:
        """Gives each ticket its vectors."""
        for (ticket, index), vector in zip(self.parts, vectors, strict=True):
            ticket.vectors[index] = vector
            ticket.running -= 1


class TwoLines(Generic[T]):
    """A line of those who had no turn yet, and a line of those who had. The lines go in turns.

    The first line goes first. While somebody waits in both, neither goes twice in a row.

    Attributes:
        fresh: Who had no turn yet, in the order of their coming.
        served: Who had one, the longest ago first.
    """

    def __init__(self) -> None:
        """Both are empty."""
        self.fresh: deque[T] = deque()
        self.served: deque[T] = deque()
        self._served_are_due = False

    def next_line(self) -> deque[T]:
        """The line whose turn it is."""
        take_fresh = bool(self.fresh) and not (self.served and self._served_are_due)
        self._served_are_due = take_fresh and bool(self.served)
        return self.fresh if take_fresh else self.served

    def leave(self, item: T) -> bool:
        """Takes somebody out of either line; returns whether it was in one."""
        for line in (self.fresh, self.served):
            if item in line:
                line.remove(item)
                return True
        return False


class FairQueue:
    """Tickets with rows that wait. Not for several threads at once."""

    def __init__(self, budget: int) -> None:
        """Takes the largest batch, in rows x tokens of the longest."""
        self._budget = budget
        self._lines: TwoLines[Ticket] = TwoLines()
        self._tokens = 0

    @property
    def tokens(self) -> int:
        """Number of tokens that wait."""
        return self._tokens

    def add(self, ticket: Ticket) -> None:
        """Puts a ticket in."""
        self._lines.fresh.append(ticket)
        self._tokens += ticket.tokens

    def remove(self, ticket: Ticket) -> None:
        """Removes the waiting rows of a ticket; rows that run are not stopped."""
        if self._lines.leave(ticket):
            self._tokens -= ticket.tokens
            ticket.waiting.clear()

    def next_batch(self) -> Batch | None:
        """Removes and returns the next batch; None if nothing waits."""
        line = self._lines.next_line()
        batch = self._fill(line, turn=_FIRST_TURN if line is self._lines.fresh else self._budget)
        for ticket in batch.tickets:
            line.remove(ticket)
            if ticket.waiting:
                self._lines.served.append(ticket)
        return batch if batch.parts else None

    def _fill(self, tickets: Iterable[Ticket], *, turn: int) -> Batch:
        parts: list[tuple[Ticket, int]] = []
        shape = BatchShape(self._budget)
        for ticket in tickets:
            taken = 0
            while ticket.waiting:
                length = len(ticket.rows[ticket.waiting[-1]])
                is_turn_over = parts and (taken + 1) * length > max(turn, length)
                if is_turn_over or not shape.add(length):
                    break
                parts.append((ticket, self._take(ticket, length)))
                taken += 1
        return Batch(parts)

    def _take(self, ticket: Ticket, length: int) -> int:
        ticket.running += 1
        self._tokens -= length
        return ticket.waiting.pop()
