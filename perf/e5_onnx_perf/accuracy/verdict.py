"""Whether a candidate is as good as the reference, by a margin that was fixed beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from e5_onnx.errors import OptionError
from e5_onnx_perf.accuracy.bootstrap import Interval

Answer = Literal["holds", "does not hold", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Margin:
    """How many points may be lost.

    Attributes:
        average: Over languages.
        language: In any one of them.
    """

    average: float = 0.5
    language: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, and what it rests on; accuracy.json has these names.

    Attributes:
        verdict: `holds` if both the average and every language are surely within their margins, `does not
            hold` if one of them is surely beyond, else `cannot tell`: there are too few items.
        verdict_average: The same of the average alone.
        languages_hold: Languages that are surely within their margin.
        languages_do_not_hold: Languages that are surely beyond it.
    """

    verdict: Answer
    verdict_average: Answer
    languages_hold: int
    languages_do_not_hold: int


def judge(average: Interval, languages: Sequence[Interval], margin: Margin) -> Verdict:
    """Judges 95% intervals of differences, candidate less reference."""
    whole = _answer(average, margin.average)
    each = [_answer(language, margin.language) for language in languages]
    answers = {whole, *each}
    verdict: Answer = "holds"
    if "does not hold" in answers:
        verdict = "does not hold"
    elif "cannot tell" in answers:
        verdict = "cannot tell"
    return Verdict(verdict, whole, each.count("holds"), each.count("does not hold"))


def _answer(spread: Interval, margin: float) -> Answer:
    if spread.low >= -margin:
        return "holds"
    return "does not hold" if spread.high < -margin else "cannot tell"


def parse_margin(text: str) -> Margin:
    """Reads `AVERAGE` or `AVERAGE,LANGUAGE`; a language may lose twice as much unless it says otherwise.

    Raises:
        OptionError: If it is not one or two numbers greater than 0.
    """
    parts = text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not all(0 < number < float("inf") for number in numbers):
        raise OptionError("margin", text, "AVERAGE or AVERAGE,LANGUAGE, in points greater than 0")
    return Margin(numbers[0], numbers[1] if len(numbers) > 1 else 2 * numbers[0])
