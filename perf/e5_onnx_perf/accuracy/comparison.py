"""From observations to what is reported: scores, differences with intervals, verdicts, fidelity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from e5_onnx_export.arrays import Doubles
from e5_onnx_perf.accuracy.bootstrap import Interval, Resampled, interval, resample
from e5_onnx_perf.accuracy.fidelity_report import fidelity_of
from e5_onnx_perf.accuracy.instructions import TASKS
from e5_onnx_perf.accuracy.units import Observation, Score, Unit
from e5_onnx_perf.accuracy.verdict import Margin, judge

RESAMPLES: Final = 10_000
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Draws:
    """How the bootstrap draws.

    Attributes:
        resamples: How often.
        seed: The seed of the generator.
    """

    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A score of the reference and a candidate, 0 to 100; accuracy.json has these names."""

    task: str
    language: str
    metric: str
    n: int
    reference: float
    candidate: float
    delta: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class _Measure:
    """One figure of a unit, by all models; the reference's comes first."""

    task: str
    language: str
    metric: str
    n: int
    values: Sequence[float]
    draws: Doubles  # float64 [models, resamples]

    def row(self, model: int) -> Row:
        delta = self.values[model] - self.values[0]
        spread = interval(self.draws[model] - self.draws[0])
        numbers = (self.values[0], self.values[model], delta, spread.low, spread.high)
        return Row(self.task, self.language, self.metric, self.n, *(round(x, _DIGITS) for x in numbers))


def compare(
    units: Sequence[Unit], observations: Sequence[Sequence[Observation]], *, margin: Margin, draws: Draws
) -> list[dict[str, Any]]:
    """Compares every candidate with the reference.

    Args:
        units: The units that were observed.
        observations: One observation for each unit, by model, the reference first.
        margin: How much may be lost.
        draws: How the bootstrap draws.

    Returns:
        For each candidate `fidelity`, `tasks` and `summary` as in accuracy.json (docs/accuracy.md).
    """
    measures = [measure for task in TASKS for measure in _measures(task, units, observations, draws=draws)]
    return [
        {
            "fidelity": fidelity_of(units, observations[0], observations[model]),
            "tasks": [asdict(measure.row(model)) for measure in measures],
            "summary": _summaries(measures, model, margin),
        }
        for model in range(1, len(observations))
    ]


def _measures(
    task: str, units: Sequence[Unit], observations: Sequence[Sequence[Observation]], *, draws: Draws
) -> list[_Measure]:
    scored: list[tuple[int, list[Score]]] = []
    resampled: list[Resampled] = []
    for place, unit in enumerate(units):
        if unit.task != task:
            continue
        clusters = unit.clusters
        for same in zip(*(unit.scores(own[place]) for own in observations), strict=True):
            scored.append((len(clusters), list(same)))
            resampled.append(Resampled(clusters, [score.statistic for score in same]))
    if not resampled:
        return []
    drawn = resample(resampled, resamples=draws.resamples, seed=draws.seed)
    return [
        _Measure(
            task=task,
            language=same[0].language,
            metric=same[0].metric,
            n=n,
            values=[score.statistic.value() for score in same],
            draws=own,
        )
        for (n, same), own in zip(scored, drawn, strict=True)
    ]


def _summaries(measures: Sequence[_Measure], model: int, margin: Margin) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[_Measure]] = {}
    for measure in measures:
        groups.setdefault((measure.task, _group(measure)), []).append(measure)
    return [
        _summary(task, metric, group, model=model, margin=margin) for (task, metric), group in groups.items()
    ]


def _group(measure: _Measure) -> str:
    """Bitext's two ways are averaged apart: finding the English sentence is the easier one."""
    if measure.task != "bitext":
        return measure.metric
    return f"{measure.metric} from English" if measure.language.startswith("eng-") else measure.metric


def _summary(
    task: str, metric: str, group: Sequence[_Measure], *, model: int, margin: Margin
) -> dict[str, Any]:
    rows = [measure.row(model) for measure in group]
    draws = np.mean([measure.draws[model] - measure.draws[0] for measure in group], axis=0)
    spread = interval(draws)
    mean: Callable[[int], float] = lambda which: float(np.mean([m.values[which] for m in group]))  # noqa: E731
    worst = min(rows, key=lambda row: row.delta)
    verdict = judge(spread, [Interval(row.ci_low, row.ci_high) for row in rows], margin)
    numbers: Mapping[str, float] = {
        "reference": mean(0),
        "candidate": mean(model),
        "delta": mean(model) - mean(0),
        "ci_low": spread.low,
        "ci_high": spread.high,
    }
    return {
        "task": task,
        "metric": metric,
        "languages": len(rows),
        **{name: round(value, _DIGITS) for name, value in numbers.items()},
        "worst_language": worst.language,
        "worst_delta": worst.delta,
        **asdict(verdict),
    }
