"""What is timed: single queries, full batches of one length, a ragged corpus, a stream of requests."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from e5_onnx.errors import OptionError
from e5_onnx_perf.speed.texts import FreshTexts

_BUCKETS: Final = (16, 64, 128, 256, 512)
_BATCHES: Final = (1, 8, 32)
USUAL: Final = ("query", "1x16", "1x128", "32x32", "8x256", "ragged", "sts-b", "paragraphs")


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests that follow each other.

    Attributes:
        name: For tables.
        requests: The lengths in tokens of each request's texts.
        timed_singly: Whether the time of each request matters, or only that of all.
        stream: The real texts that it takes as they are; then only the number of lengths counts.
    """

    name: str
    requests: tuple[tuple[int, ...], ...]
    timed_singly: bool = False
    stream: str | None = None

    @property
    def texts(self) -> int:
        """The number of texts of all requests."""
        return sum(map(len, self.requests))

    @property
    def mode(self) -> Literal["embedder", "callers"]:
        """The mode that our documentation names for such requests; nothing that was timed chooses it."""
        return "callers" if min(map(len, self.requests)) > 1 else "embedder"

    def make(self, fresh: FreshTexts) -> list[list[str]]:
        """The texts of each request, which nothing has seen before."""
        lengths = [length for request in self.requests for length in request]
        made = fresh.take(self.stream, len(lengths)) if self.stream else fresh.make(lengths)
        texts = iter(made)
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
    Workload("sts-b", ((0,) * 64,), stream="sts-b"),
    Workload("paragraphs", ((0,) * 16,), stream="paragraphs"),
)
_BY_NAME: Final = {workload.name: workload for workload in WORKLOADS}


def choose_workloads(names: Sequence[str], streams: Collection[str] | None = None) -> list[Workload]:
    """The workloads of some names, those left out whose real texts are not there.

    Raises:
        OptionError: If there is none of a name.
    """
    unknown = [name for name in names if name not in _BY_NAME]
    if unknown:
        raise OptionError("workloads", ",".join(unknown), f"of {', '.join(_BY_NAME)}")
    chosen = [_BY_NAME[name] for name in names]
    return [one for one in chosen if streams is None or one.stream is None or one.stream in streams]
