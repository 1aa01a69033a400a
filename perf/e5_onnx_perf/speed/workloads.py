"""What is timed: single queries, full batches of one length, a ragged corpus, a stream of requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from e5_onnx.errors import OptionError
from e5_onnx_perf.speed.texts import TextMaker

_BUCKETS: Final = (16, 64, 128, 256, 512)
_BATCHES: Final = (1, 8, 32)
QUICK: Final = ("query", "1x128", "32x32", "8x256", "ragged")


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests that follow each other.

    Attributes:
        name: For tables.
        requests: The lengths in tokens of each request's texts.
        timed_singly: Whether the time of each request matters, or only that of all.
    """

    name: str
    requests: tuple[tuple[int, ...], ...]
    timed_singly: bool = False

    @property
    def texts(self) -> int:
        """The number of texts of all requests."""
        return sum(map(len, self.requests))

    def make(self, maker: TextMaker, seed: int) -> list[list[str]]:
        """The texts of each request."""
        texts = iter(maker.make([length for request in self.requests for length in request], seed))
        return [[next(texts) for _ in request] for request in self.requests]


def _lengths(count: int, *, median: float, spread: float, seed: int) -> tuple[int, ...]:
    """Log-normal lengths between 6 and 512 tokens, as texts have them."""
    drawn = np.random.default_rng(seed).lognormal(np.log(median), spread, count)
    return tuple(int(length) for length in np.clip(drawn, 6, 512))


def _stream() -> tuple[tuple[int, ...], ...]:
    """Requests as a server sees them: four of five are a short query, the rest bring documents."""
    generator = np.random.default_rng(7)
    requests = []
    for number in range(20):
        count = 1 if generator.random() < 0.8 else int(generator.integers(2, 9))  # noqa: PLR2004
        median = 14 if count == 1 else 90
        requests.append(_lengths(count, median=median, spread=0.5, seed=number))
    return tuple(requests)


WORKLOADS: Final = (
    Workload("query", tuple((length,) for length in _lengths(12, median=14, spread=0.4, seed=1)), True),
    *(Workload(f"{batch}x{length}", ((length,) * batch,)) for batch in _BATCHES for length in _BUCKETS),
    Workload("32x32", ((32,) * 32,)),
    Workload("ragged", (_lengths(48, median=45, spread=0.9, seed=2),)),
    Workload("stream", _stream(), True),
)
_BY_NAME: Final = {workload.name: workload for workload in WORKLOADS}


def choose_workloads(names: Sequence[str] | None) -> list[Workload]:
    """The workloads of some names, or all.

    Raises:
        OptionError: If there is none of a name.
    """
    if names is None:
        return list(WORKLOADS)
    unknown = [name for name in names if name not in _BY_NAME]
    if unknown:
        raise OptionError("workloads", ",".join(unknown), f"of {', '.join(_BY_NAME)}")
    return [_BY_NAME[name] for name in names]
