"""What is written around the texts of each task: one table, byte for byte as published.

official      the authors' own evaluation (microsoft/unilm, e5, commit 9c0f1ff7): outside retrieval one prompt
              on both sides; models with prefixes get `query: ` there. What we recommend.
reproduction  as the published figures were made, by mteb's defaults: the same for models with instructions,
              nothing at all for models with prefixes outside retrieval (docs/accuracy.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from e5_onnx.recipes import Recipe, Role

Convention = Literal["official", "reproduction"]
TaskName = Literal["fidelity", "sts", "bitext", "retrieval"]

CONVENTIONS: Final[tuple[Convention, ...]] = get_args(Convention)
TASKS: Final[tuple[TaskName, ...]] = get_args(TaskName)

_SIMILAR: Final = "Retrieve semantically similar text."
_PARALLEL: Final = "Retrieve parallel sentences."
# The authors have none for XQuAD and its like: theirs for questions to Wikipedia, which these are.
_WIKIPEDIA: Final = "Given a question, retrieve Wikipedia passages that answer the question"

_INSTRUCTIONS: Final[dict[tuple[Convention, TaskName], str]] = {
    ("official", "sts"): _SIMILAR,
    ("official", "bitext"): _PARALLEL,
    ("official", "retrieval"): _WIKIPEDIA,
    ("reproduction", "sts"): _SIMILAR,
    ("reproduction", "bitext"): _PARALLEL,
    ("reproduction", "retrieval"): "Retrieve text based on user query.",
}
_BOTH_SIDES_ALIKE: Final = ("sts", "bitext")


@dataclass(frozen=True, slots=True)
class Side:
    """How a text is given to a model.

    Attributes:
        role: The role of the text.
        task: The instruction, where the recipe takes one.
    """

    role: Role
    task: str | None = None


DOCUMENT: Final = Side("document")


@dataclass(frozen=True, slots=True)
class Sides:
    """How the two texts of a pair are given: question and paragraph, or both sentences alike."""

    first: Side
    second: Side


def sides_of(task: TaskName, recipe: Recipe, convention: Convention) -> Sides:
    """How the texts of a task are given to a model of a recipe.

    Args:
        task: Not `fidelity`, whose texts are all documents.
        recipe: The recipe of the model.
        convention: `official` or `reproduction`.
    """
    alike = task in _BOTH_SIDES_ALIKE
    if recipe.takes_task:
        first = Side("query", _INSTRUCTIONS[convention, task])
    elif alike and convention == "reproduction":
        first = Side("raw")
    else:
        first = Side("query")
    return Sides(first, first if alike else DOCUMENT)
