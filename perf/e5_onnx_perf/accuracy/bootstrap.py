"""Paired bootstrap: how much a difference would move with other items.

Whole clusters are drawn with replacement, the same for every model and, since parallel languages share their
items, in every language of a task at once. Percentile intervals. Efron and Tibshirani 1993, chapters 8, 13.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.arrays import Doubles
from e5_onnx_perf.accuracy.statistics import Counts, Statistic

_AT_ONCE: Final = 100
_LOW, _HIGH = 2.5, 97.5


@dataclass(frozen=True, slots=True)
class Resampled:
    """A measure's items and the models' statistics of them.

    Attributes:
        clusters: The cluster of each item.
        statistics: The statistic of each model, in one order.
    """

    clusters: Sequence[str]
    statistics: Sequence[Statistic]


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95% interval."""

    low: float
    high: float


def resample(measures: Sequence[Resampled], *, resamples: int, seed: int) -> list[Doubles]:
    """Draws clusters again and again and computes every statistic of what was drawn.

    Args:
        measures: All measures of one task.
        resamples: How often.
        seed: The seed of the draws.

    Returns:
        For each measure float64 [models, resamples].
    """
    numbers = _numbers(measures)
    total = 1 + max(int(own.max()) for own in numbers)
    found: list[list[Doubles]] = [[] for _ in measures]
    for drawn in _draws(total, resamples, np.random.default_rng(seed)):
        # Measures of the same items, as accuracy and F1 are, share their counts.
        last: tuple[NDArray[np.int64], Counts] | None = None
        for measure, own, values in zip(measures, numbers, found, strict=True):
            if last is None or last[0] is not own:
                last = own, drawn[:, own]
            values.append(np.stack([statistic.resampled(last[1]) for statistic in measure.statistics]))
    return [np.concatenate(values, axis=1) for values in found]


def _numbers(measures: Sequence[Resampled]) -> list[NDArray[np.int64]]:
    """The number of each item's cluster; the same array for the same clusters."""
    known: dict[str, int] = {}
    done: dict[int, NDArray[np.int64]] = {}
    for measure in measures:
        if id(measure.clusters) not in done:
            own = [known.setdefault(cluster, len(known)) for cluster in measure.clusters]
            done[id(measure.clusters)] = np.array(own, np.int64)
    return [done[id(measure.clusters)] for measure in measures]


def _draws(total: int, resamples: int, generator: np.random.Generator) -> Iterator[Counts]:
    for start in range(0, resamples, _AT_ONCE):
        rows = min(_AT_ONCE, resamples - start)
        drawn = generator.integers(0, total, (rows, total))
        yield np.stack([np.bincount(row, minlength=total) for row in drawn])


def interval(differences: Doubles) -> Interval:
    """The 95% percentile interval of differences float64 [resamples], NaN among them left out."""
    low, high = np.nanpercentile(differences, [_LOW, _HIGH])
    return Interval(float(low), float(high))
