"""How many times as fast one engine is as another, with what the rounds say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from e5_onnx_perf.accuracy.bootstrap import Resampled, interval, resample
from e5_onnx_perf.accuracy.statistics import Median

_RESAMPLES: Final = 10_000
# Of five rounds that all go one way, chance alone gives a sixteenth: no 95% can be said.
_FEWEST: Final = 6
SpeedVerdict = Literal["ahead", "level", "behind", "too few rounds"]


@dataclass(frozen=True, slots=True)
class SpeedRatio:
    """How many times as fast one engine is as another.

    Attributes:
        median: The median of the rounds' ratios, for a round's noise falls on both engines.
        low: The lower end of its 95% bootstrap interval over rounds.
        high: The upper end.
        rounds: The number of rounds.
    """

    median: float
    low: float
    high: float
    rounds: int

    @property
    def verdict(self) -> SpeedVerdict:
        """`ahead` only where the whole interval lies above 1."""
        if self.rounds < _FEWEST:
            return "too few rounds"
        if self.low > 1:
            return "ahead"
        return "behind" if self.high < 1 else "level"


def speed_ratio(own: Sequence[float], other: Sequence[float]) -> SpeedRatio:
    """Compares the seconds of the same rounds.

    Args:
        own: The seconds of each round of the engine that is judged.
        other: The seconds of the engine that it is compared with.
    """
    found = Median(np.asarray(other, np.float64) / np.asarray(own, np.float64))
    rounds = Resampled([str(number) for number in range(len(own))], [found])
    (drawn,) = resample([rounds], resamples=_RESAMPLES, seed=0)
    limits = interval(drawn[0])
    return SpeedRatio(found.value(), limits.low, limits.high, len(own))
