"""From what is asked for to units of work: which tasks, languages and texts, and where these come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from e5_onnx.errors import OptionError
from e5_onnx.recipes import Recipe
from e5_onnx_perf.accuracy.data_folder import DataFiles
from e5_onnx_perf.accuracy.fidelity import fidelity_units
from e5_onnx_perf.accuracy.instructions import Convention, TaskName, sides_of
from e5_onnx_perf.accuracy.languages import TATOEBA, Language, find_language
from e5_onnx_perf.accuracy.squad import RetrievalFile, read_questions
from e5_onnx_perf.accuracy.stsb import LANGUAGES as STS_LANGUAGES
from e5_onnx_perf.accuracy.stsb import read_pairs
from e5_onnx_perf.accuracy.tatoeba import read_translations
from e5_onnx_perf.accuracy.units import BitextUnit, RetrievalUnit, StsUnit, Unit

FEWEST: Final = 2  # items of a task: fewer have no order


@dataclass(frozen=True, slots=True)
class AccuracyRequest:
    """The measurement that is asked for.

    Attributes:
        tasks: The tasks to measure.
        languages: Codes of two or three letters, or None for all that a task has.
        retrieval: Files of questions.
        convention: The prompts around texts.
        limit: Items of a task and language, the first, or None for all.
    """

    tasks: Sequence[TaskName]
    languages: Sequence[str] | None = None
    retrieval: Sequence[RetrievalFile] = field(default=())
    convention: Convention = "official"
    limit: int | None = None


def plan_units(request: AccuracyRequest, data: DataFiles, recipe: Recipe) -> list[Unit]:
    """Reads the data of every task that is asked for, and of no other.

    Fidelity is measured on the texts of the other tasks; where there are none, on those of STS-B.

    Args:
        request: The measurement that is asked for.
        data: The folder of STS-B and Tatoeba.
        recipe: The recipe of the models.

    Raises:
        OptionError: If a language is not known, or a task has none of those that are asked for.
        DataError: If a file is missing, damaged or malformed.
        DownloadError: If a file cannot be downloaded.
    """
    wanted = None if request.languages is None else [find_language(code) for code in request.languages]
    units: list[Unit] = []
    if "sts" in request.tasks:
        units += _sts(request, data, recipe, wanted=wanted)
    if "bitext" in request.tasks:
        units += _bitext(request, data, recipe, wanted=wanted)
    if "retrieval" in request.tasks:
        units += _retrieval(request, recipe, wanted)
    if "fidelity" in request.tasks:
        units += fidelity_units(units or _sts(request, data, recipe, wanted=wanted), request.limit)
    return units


def _sts(
    request: AccuracyRequest, data: DataFiles, recipe: Recipe, *, wanted: Sequence[Language] | None
) -> list[Unit]:
    codes = _chosen("sts", STS_LANGUAGES, wanted)
    sides = sides_of("sts", recipe, request.convention)
    return [StsUnit(code, read_pairs(data, code, request.limit), sides) for code in codes]


def _bitext(
    request: AccuracyRequest, data: DataFiles, recipe: Recipe, *, wanted: Sequence[Language] | None
) -> list[Unit]:
    # English is the other side of every pair.
    codes = _chosen("bitext", [language.short for language in TATOEBA], wanted)
    sides = sides_of("bitext", recipe, request.convention)
    languages = [language for language in TATOEBA if language.short in codes]
    return [
        BitextUnit(language, read_translations(data, language, request.limit), sides)
        for language in languages
    ]


def _retrieval(request: AccuracyRequest, recipe: Recipe, wanted: Sequence[Language] | None) -> list[Unit]:
    if not request.retrieval:
        raise OptionError("tasks", "retrieval", "given with retrieval='FILE.json'")
    codes = _chosen("retrieval", [file.language for file in request.retrieval], wanted)
    sides = sides_of("retrieval", recipe, request.convention)
    return [
        RetrievalUnit(file.language, read_questions(file.path, request.limit), sides)
        for file in request.retrieval
        if file.language in codes
    ]


def _chosen(task: str, there_are: Sequence[str], wanted: Sequence[Language] | None) -> list[str]:
    if wanted is None:
        return list(there_are)
    codes = {code for language in wanted for code in (language.short, language.tatoeba)}
    chosen = [code for code in there_are if code in codes]
    if not chosen:
        asked = ",".join(language.short for language in wanted)
        raise OptionError("languages", asked, f"such that {task} has one: it has {', '.join(there_are)}")
    return chosen
