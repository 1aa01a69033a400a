"""When each shard of a bulk run was done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.plan import Shard
from e5_onnx.bulk.run import BulkEngine
from e5_onnx.bulk.work import Tell, Work


@dataclass(slots=True)
class TimedEngine:
    """Another engine, with a clock.

    Attributes:
        engine: The engine that does the work.
        lanes: Shards that are worked on at once.
        started: When it was asked to begin.
        done: When each shard was done, and its tokens.
    """

    engine: BulkEngine
    lanes: int
    started: float = 0.0
    done: list[tuple[float, int]] = field(default_factory=list)

    def __call__(self, work: Work, shards: Iterable[Shard], tell: Tell) -> Iterator[Receipt]:
        """Does the shards."""
        self.started = time.perf_counter()
        for receipt in self.engine(work, shards, tell):
            self.done.append((time.perf_counter(), receipt.tokens))
            yield receipt

    @property
    def whole_rate(self) -> float:
        """Tokens a second from the beginning, the start of workers and the loading of models included."""
        return sum(tokens for _, tokens in self.done) / (self.done[-1][0] - self.started)

    @property
    def steady_rate(self) -> float:
        """Tokens a second between the first shards of all lanes and the last shard."""
        first = self.done[self.lanes - 1][0]
        return sum(tokens for _, tokens in self.done[self.lanes :]) / (self.done[-1][0] - first)

    @property
    def start_seconds(self) -> float:
        """Until the first shard was done."""
        return self.done[0][0] - self.started

    @property
    def seconds_a_shard(self) -> float:
        """Between the first shards of all lanes and the last shard."""
        return (self.done[-1][0] - self.done[self.lanes - 1][0]) / max(1, len(self.done) - self.lanes)
