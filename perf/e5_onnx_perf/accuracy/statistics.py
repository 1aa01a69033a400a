"""Scores that can be computed again on resampled items: what the bootstrap needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.arrays import Doubles
from e5_onnx_perf.accuracy.scores import spearman

Counts = NDArray[np.int64]


class Statistic(Protocol):
    """A score of n items."""

    def value(self) -> float:
        """The score of all items, each once."""

    def resampled(self, counts: Counts) -> Doubles:
        """The score of each resample.

        Args:
            counts: int64 [resamples, n], how often each item was drawn.

        Returns:
            float64 [resamples]; NaN where a resample has no score.
        """


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of what each item contributes.

    Attributes:
        items: float64 [n].
    """

    items: Doubles

    def value(self) -> float:
        """The mean."""
        return float(self.items.mean())

    def resampled(self, counts: Counts) -> Doubles:
        """The mean of each resample; see `Statistic.resampled`."""
        drawn = counts.sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.asarray(counts @ self.items / drawn)


@dataclass(frozen=True, slots=True)
class Median:
    """The median of what each item contributes.

    Attributes:
        items: float64 [n].
    """

    items: Doubles

    def value(self) -> float:
        """The median."""
        return float(np.median(self.items))

    def resampled(self, counts: Counts) -> Doubles:
        """The median of each resample; see `Statistic.resampled`. One of nothing fails."""
        order = np.argsort(self.items)
        reached = counts[:, order].cumsum(axis=1)
        drawn = reached[:, -1:]
        # The two items in the middle, which are one where their number is odd.
        middles = [(reached > half).argmax(axis=1) for half in ((drawn - 1) // 2, drawn // 2)]
        return np.asarray(self.items[order][np.stack(middles)].mean(axis=0))


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's correlation x 100 of what a model says with what people say.

    Attributes:
        found: float64 [n].
        truth: float64 [n].
    """

    found: Doubles
    truth: Doubles

    def value(self) -> float:
        """The correlation of all items."""
        return spearman(self.found, self.truth)

    def resampled(self, counts: Counts) -> Doubles:
        """The correlation of each resample; see `Statistic.resampled`."""
        left, right = weighted_ranks(self.found, counts), weighted_ranks(self.truth, counts)
        drawn = counts.sum(axis=1)
        # Ranks 1 .. N have this mean, however they are tied.
        middle = (drawn[:, None] + 1) / 2
        left -= middle
        right -= middle
        with np.errstate(invalid="ignore"):
            together = (counts * left * right).sum(axis=1)
            spread = (counts * left**2).sum(axis=1) * (counts * right**2).sum(axis=1)
            return np.asarray(100 * together / np.sqrt(spread))


def weighted_ranks(values: Doubles, counts: Counts) -> Doubles:
    """The rank of each item among items drawn several times, equal values sharing the mean of their ranks.

    Args:
        values: float64 [n].
        counts: int64 [resamples, n].

    Returns:
        float64 [resamples, n]; of an item that was not drawn, a number that means nothing.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    group = np.concatenate(([0], np.cumsum(ordered[1:] != ordered[:-1])))
    last = np.flatnonzero(np.concatenate((ordered[1:] != ordered[:-1], [True])))
    ends = np.cumsum(counts[:, order], axis=1)[:, last].astype(np.float64)
    sizes = np.diff(ends, axis=1, prepend=0)
    ranks = np.empty(counts.shape, np.float64)
    ranks[:, order] = (ends - (sizes - 1) / 2)[:, group]
    return ranks
