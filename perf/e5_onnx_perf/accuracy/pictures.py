"""Pictures of an accuracy comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from e5_onnx_export.cards.accuracy import Values
from e5_onnx_perf.accuracy.languages import language_name
from e5_onnx_perf.report.svg import INK, SERIES, new_picture, to_svg

_WIDTH: Final = 5.4
_ROW: Final = 0.2  # inches
_PAIR_CODE: Final = 3  # letters of a code in a pair: pt-br is one language
_MOST: Final = 45  # languages of a picture; all are in the table


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG element and what is written below it."""

    svg: str
    caption: str


def difference_pictures(
    candidates: Sequence[Values], margin: Values, titles: Mapping[str, str]
) -> list[Picture]:
    """One picture for each task and its first metric: every language's difference with its interval."""
    shown: dict[str, str] = {}
    for row in candidates[0]["tasks"]:
        shown.setdefault(row["task"], row["metric"])
    return [
        _differences(candidates, task, metric, margin=margin, title=titles[task])
        for task, metric in shown.items()
    ]


def _differences(
    candidates: Sequence[Values], task: str, metric: str, *, margin: Values, title: str
) -> Picture:
    rows = [
        {row["language"]: row for row in candidate["tasks"] if (row["task"], row["metric"]) == (task, metric)}
        for candidate in candidates
    ]
    languages = sorted(rows[0], key=lambda language: min(own[language]["delta"] for own in rows))
    chosen = languages[:_MOST]
    figure, axes = new_picture(_WIDTH, 0.9 + _ROW * len(chosen))
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.axvline(-margin["language"], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    for number, own in enumerate(rows):
        shift = (number - (len(rows) - 1) / 2) * 0.8 / len(rows)
        places = [place + shift for place in range(len(chosen))]
        deltas = [own[language]["delta"] for language in chosen]
        low = [max(0.0, own[language]["delta"] - own[language]["ci_low"]) for language in chosen]
        high = [max(0.0, own[language]["ci_high"] - own[language]["delta"]) for language in chosen]
        axes.errorbar(
            deltas,
            places,
            xerr=(low, high),
            fmt="o",
            markersize=3,
            linewidth=1.1,
            color=SERIES[number % len(SERIES)],
            label=candidates[number]["name"],
        )
    axes.set_yticks(range(len(chosen)), [readable(language) for language in chosen])
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"difference in {metric}, points")
    if len(rows) > 1:
        figure.legend(frameon=False, loc="outside upper left", ncols=2)
    caption = (
        f"{title}, {metric}: candidate less reference, with 95% intervals. The dashed line is the margin for "
        f"one language, {margin['language']} points."
    )
    if len(languages) > len(chosen):
        caption += f" The {len(chosen)} worst of {len(languages)}; all are in the table below."
    return Picture(to_svg(figure, label=f"{title}: difference in {metric} by language"), caption)


def readable(language: str) -> str:
    """`German`, or `German to English` for a pair."""
    first, separator, second = language.partition("-")
    if not separator or {len(first), len(second)} != {_PAIR_CODE}:
        return language_name(language)
    return f"{language_name(first)} to {language_name(second)}"


def distribution_picture(candidates: Sequence[Values]) -> str | None:
    """How many texts lie how far from the reference, by candidate; None where fidelity was not measured."""
    measured = [(number, own) for number, own in enumerate(candidates) if own["fidelity"]]
    if not measured:
        return None
    figure, axes = new_picture(_WIDTH, 2.6)
    histograms = [own["fidelity"]["histogram"] for _, own in measured]
    used = [
        edge
        for histogram in histograms
        for edge, count in zip(histogram["one_minus_cosine"], histogram["texts"], strict=False)
        if count
    ]
    for (number, own), histogram in zip(measured, histograms, strict=True):
        total = sum(histogram["texts"])
        axes.stairs(
            [100 * count / total for count in histogram["texts"]],
            histogram["one_minus_cosine"],
            color=SERIES[number % len(SERIES)],
            fill=len(measured) == 1,
            linewidth=1.4,
            label=own["name"],
        )
    axes.set_xscale("log")
    axes.set_xlim(min(used) / 2, max(used) * 3)
    axes.set_xlabel("1 − cosine with the reference")
    axes.set_ylabel("% of texts")
    if len(measured) > 1:
        figure.legend(frameon=False, loc="outside upper left", ncols=2)
    return to_svg(figure, label="Distribution of the distance of single vectors from the reference")
