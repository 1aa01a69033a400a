"""A checkpoint's prompts as a recipe, and those that no role takes as parameters that are ready to copy."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from e5_onnx.recipes import E5_INSTRUCT, RECIPES, Recipe
from e5_onnx_export.checkpoint.prompts import PROMPTS_NAME, Prompts
from e5_onnx_export.errors import RecipeError
from e5_onnx_export.recipe.request import placeholders

_INSTRUCT_PROMPT: Final = re.compile(r"Instruct: (.+)\nQuery: ")
_OF_DOCUMENTS: Final = re.compile(r"doc|passage|corpus|paragraph|context|answer", re.IGNORECASE)


def prompt_recipe(prompts: Prompts | None) -> Recipe | None:
    """Returns the recipe that sentence-transformers' encode_query and encode_document follow.

    Args:
        prompts: The checkpoint's.

    Returns:
        The recipe; None where the prompts do not say how a query or a document is written.

    Raises:
        RecipeError: If a prompt cannot be written as a template.
    """
    if prompts is None or not (prompts.query or prompts.document or prompts.default_name):
        return None
    for name, prompt in (("query", prompts.query), ("document", prompts.document)):
        if "text" in placeholders(prompt) or "task" in placeholders(prompt):
            raise RecipeError(f"{PROMPTS_NAME}: prompt {name!r} contains a placeholder: {prompt!r:.80}")
    instruction = _INSTRUCT_PROMPT.fullmatch(prompts.query)
    if instruction and not prompts.document:
        return replace(E5_INSTRUCT, default_task=instruction.group(1))
    templates = (prompts.query + "{text}", prompts.document + "{text}")
    named = (recipe for recipe in RECIPES.values() if _templates(recipe) == templates)
    return next(named, Recipe("custom", *templates))


def agrees(prompts: Prompts | None, recipe: Recipe) -> bool:
    """Whether a recipe writes each prompt that the checkpoint has for a role; an empty one says nothing."""
    found = prompt_recipe(prompts)
    if prompts is None or found is None:
        return True
    return (not prompts.query or found.query_template == recipe.query_template) and (
        not prompts.document or found.document_template == recipe.document_template
    )


def prompt_choices(prompts: Prompts | None) -> tuple[str, ...]:
    """Returns a row for each prompt that no role takes: the parameter that sets it, and its name.

    Prompts with words in braces have no row: a template would read them as placeholders.
    """
    if prompts is None:
        return ()
    return tuple(
        f"{_parameter(name)}={prompt + '{text}'!r}   prompt {name!r} of {PROMPTS_NAME}"
        for name, prompt in prompts.others.items()
        if not placeholders(prompt)
    )


def unused_note(prompts: Prompts | None, chosen: Recipe) -> tuple[str, ...]:
    """Returns a sentence on prompts that neither role of the chosen recipe takes, or nothing."""
    if prompts is None:
        return ()
    taken = _templates(chosen)
    unused = {name: text for name, text in prompts.others.items() if text + "{text}" not in taken}
    if not unused:
        return ()
    choices = " or ".join(
        f"{_parameter(name)}={text + '{text}'!r}" for name, text in unused.items() if not placeholders(text)
    )
    remedy = f"; to write them before texts pass {choices}" if choices else ""
    why = (
        "as encode_query and encode_document of sentence-transformers do not use them"
        if prompts.is_read
        else "as sentence-transformers does not read the file without modules.json"
    )
    return (f"{PROMPTS_NAME} has prompts that are left out, {why}: {', '.join(unused)}{remedy}",)


def _parameter(name: str) -> str:
    return "document_template" if _OF_DOCUMENTS.search(name) else "query_template"


def _templates(recipe: Recipe) -> tuple[str, str]:
    return recipe.query_template, recipe.document_template
