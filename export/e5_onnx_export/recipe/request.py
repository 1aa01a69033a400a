"""What the caller says about templates and pooling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from e5_onnx.model_folder.manifest import Pooling
from e5_onnx.recipes import PLAIN, RECIPES, WEB_SEARCH_TASK, Recipe, RecipeName
from e5_onnx_export.errors import RecipeError

_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class RecipeRequest:
    """The options that the caller gave; None leaves the choice to the checkpoint.

    Attributes:
        recipe: A recipe's name.
        query_template: Text with `{text}` once and, if queries take an instruction, `{task}`.
        document_template: Text with `{text}` once.
        pooling: How token vectors become one.
    """

    recipe: RecipeName | None = None
    query_template: str | None = None
    document_template: str | None = None
    pooling: Pooling | None = None


def requested_recipe(request: RecipeRequest, found: Recipe | None) -> Recipe | None:
    """Returns the recipe that is asked for, or None.

    Args:
        request: The options that the caller gave. A template that is left out is that of `found`.
        found: The recipe of the checkpoint, or None.

    Raises:
        RecipeError: If a template is malformed, or comes with a recipe that has its own.
    """
    by_hand = request.query_template is not None or request.document_template is not None
    if request.recipe is not None and request.recipe != "custom":
        if by_hand:
            raise RecipeError(
                f"recipe={request.recipe!r} has its own templates: leave `query_template` and "
                "`document_template` out"
            )
        return RECIPES[request.recipe]
    if by_hand:
        return _by_hand(request, found or PLAIN)
    if request.recipe == "custom":
        raise RecipeError(
            "recipe custom is made of `query_template` and `document_template`: give one or both"
        )
    return None


def _by_hand(request: RecipeRequest, found: Recipe) -> Recipe:
    query, document, task = found.query_template, found.document_template, found.default_task
    if request.query_template is not None:
        query = _checked("query_template", request.query_template, ("text", "task"))
        # So that a query without a task is not an error: the family's usual one.
        task = WEB_SEARCH_TASK if "{task}" in query else None
    if request.document_template is not None:
        document = _checked("document_template", request.document_template, ("text",))
    return Recipe("custom", query, document, task)


def placeholders(template: str) -> list[str]:
    """Returns the names in braces, in their order."""
    return _PLACEHOLDER.findall(template)


def _checked(parameter: str, template: str, allowed: tuple[str, ...]) -> str:
    names = placeholders(template)
    if names.count("text") != 1:
        raise RecipeError(f"{parameter}={template!r} must contain {{text}} exactly once")
    for name in names:
        if name not in allowed:
            raise RecipeError(f"{parameter}={template!r} contains {{{name}}}, which has no meaning there")
    return template
