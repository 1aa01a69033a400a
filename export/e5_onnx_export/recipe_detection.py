"""Which templates, pooling and length a checkpoint is to be used with, and who says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from e5_onnx.manifest import Pooling
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, RECIPES, WEB_SEARCH_TASK, Recipe, RecipeName
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.checkpoint.model_folder import MODULES_NAME
from e5_onnx_export.checkpoint.sentence_files import (
    LENGTH_NAME,
    PROMPTS_NAME,
    Prompts,
    SentenceFiles,
    read_sentence_files,
)
from e5_onnx_export.errors import RecipeError, UnknownPoolingError, UnknownRecipeError
from e5_onnx_export.known_models import Recognition, recognise


@dataclass(frozen=True, slots=True)
class RecipeRequest:
    """What the caller says; None where the checkpoint is to say it.

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


@dataclass(frozen=True, slots=True)
class EncodingChoice:
    """What was chosen.

    Attributes:
        recipe: The templates.
        pooling: How token vectors become one; the result is always normalised.
        max_tokens: The longest text, in tokens, template and special tokens included.
        notes: Sentences for the person who exports, on what is not evident.
    """

    recipe: Recipe
    pooling: Pooling
    max_tokens: int
    notes: tuple[str, ...] = ()


_E5: Final = (E5_INSTRUCT.name, E5_PREFIX.name)
_CHOICES: Final = (
    f"--recipe {E5_INSTRUCT.name}   queries {E5_INSTRUCT.query_template!r}, documents as they are",
    f"--recipe {E5_PREFIX.name}     queries {E5_PREFIX.query_template!r}, "
    f"documents {E5_PREFIX.document_template!r}",
    f"--recipe {PLAIN.name}         every text as it is",
    "--query-template, --document-template   your own, each with {text} once",
)
_INSTRUCT_PROMPT: Final = re.compile(r"Instruct: (.+)\nQuery: ")
_PLACEHOLDER: Final = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class _Chosen:
    recipe: Recipe
    by: Literal["flag", "name", "prompts"]
    notes: tuple[str, ...] = ()

    @property
    def implies_e5(self) -> bool:
        # Another family's prompts may read like e5's by chance.
        return self.recipe.name in _E5 and self.by != "prompts"


def detect(checkpoint: Checkpoint, request: RecipeRequest) -> EncodingChoice:
    """Chooses the recipe, the pooling and the longest text.

    The recipe is the caller's, else that of the checkpoint's own prompts, else that of a known model.

    Args:
        checkpoint: The checkpoint.
        request: What the caller says.

    Returns:
        The choice.

    Raises:
        UnknownRecipeError: If nothing says which recipe it is.
        UnknownPoolingError: If nothing says how it pools.
        RecipeError: If two sources say different things, or a template is malformed.
        UnsupportedModelError: If its sentence-transformers modules do what the graph does not.
        CheckpointError: If one of its files is damaged.
    """
    source = checkpoint.source.name
    files = SentenceFiles() if checkpoint.folder is None else read_sentence_files(checkpoint.folder, source)
    asked = _asked_for(request)
    known = recognise(checkpoint)
    if asked is not None and known is not None and known.ground is not None:
        known = None  # a guess is not needed beside a flag
    chosen = _choose_recipe(source, asked, files.prompts, known=known)
    if chosen.by == "prompts":
        known = None
    pooling = _choose_pooling(source, _poolings(request, files, chosen, known=known))
    max_tokens, notes = _choose_length(checkpoint, files, chosen)
    if files.normalizes is False:
        notes += (f"{MODULES_NAME} has no Normalize module; vectors are normalised all the same",)
    return EncodingChoice(chosen.recipe, pooling, max_tokens, (*chosen.notes, *notes))


def _choose_recipe(
    source: str, asked: Recipe | None, prompts: Prompts | None, *, known: Recognition | None
) -> _Chosen:
    found = _from_prompts(prompts)
    notes = _unused(prompts)
    if asked is not None:
        _refuse_conflict(source, asked, found)
        # Where both name one recipe, the file may know the default task.
        return _Chosen(found if found is not None and found.name == asked.name else asked, "flag", notes)
    if known is not None and (found is None or _templates(found) == _templates(known.model.recipe)):
        if known.ground is not None:
            notes = (f"taken for {known.name}, because {known.ground}: if it is not, pass --recipe", *notes)
        return _Chosen(found or known.model.recipe, "name", notes)
    if found is not None:
        return _Chosen(found, "prompts", (f"{PROMPTS_NAME} says {_describe(found)}", *notes))
    raise UnknownRecipeError(source, _CHOICES)


def _refuse_conflict(source: str, asked: Recipe, found: Recipe | None) -> None:
    if found is not None and _templates(found) != _templates(asked):
        raise RecipeError(
            f"{source}: the flags ask for {_describe(asked)}, but {PROMPTS_NAME} says {_describe(found)}: "
            "leave the flags out, or change that file"
        )


def _asked_for(request: RecipeRequest) -> Recipe | None:
    by_hand = request.query_template is not None or request.document_template is not None
    if request.recipe is not None and request.recipe != "custom":
        if by_hand:
            raise RecipeError(
                f"--recipe {request.recipe} has its own templates: leave the template flags out"
            )
        return RECIPES[request.recipe]
    if by_hand:
        query = _checked("--query-template", request.query_template, ("text", "task"))
        document = _checked("--document-template", request.document_template, ("text",))
        # So that a query without a task is not an error: the family's usual one.
        return Recipe("custom", query, document, WEB_SEARCH_TASK if "{task}" in query else None)
    if request.recipe == "custom":
        raise RecipeError(
            "recipe custom is made of --query-template and --document-template: give one or both"
        )
    return None


def _checked(flag: str, template: str | None, allowed: tuple[str, ...]) -> str:
    if template is None:
        return PLAIN.query_template
    names = _PLACEHOLDER.findall(template)
    if names.count("text") != 1:
        raise RecipeError(f"{flag} {template!r} must contain {{text}} exactly once")
    for name in names:
        if name not in allowed:
            raise RecipeError(f"{flag} {template!r} contains {{{name}}}, which has no meaning there")
    return template


def _from_prompts(prompts: Prompts | None) -> Recipe | None:
    if prompts is None or not (prompts.query or prompts.document):
        return None
    instruction = _INSTRUCT_PROMPT.fullmatch(prompts.query)
    if instruction and not prompts.document:
        return replace(E5_INSTRUCT, default_task=instruction.group(1))
    templates = (prompts.query + "{text}", prompts.document + "{text}")
    named = (recipe for recipe in RECIPES.values() if _templates(recipe) == templates)
    return next(named, Recipe("custom", *templates))


def _unused(prompts: Prompts | None) -> tuple[str, ...]:
    if prompts is None or not prompts.unused:
        return ()
    return (f"{PROMPTS_NAME} has prompts that neither role takes, not used: {', '.join(prompts.unused)}",)


def _templates(recipe: Recipe) -> tuple[str, str]:
    return recipe.query_template, recipe.document_template


def _describe(recipe: Recipe) -> str:
    return f"{recipe.name} (queries {recipe.query_template!r}, documents {recipe.document_template!r})"


def _poolings(
    request: RecipeRequest, files: SentenceFiles, chosen: _Chosen, *, known: Recognition | None
) -> dict[str, Pooling]:
    """Everyone's word on the pooling, by who says it."""
    said: dict[str, Pooling] = {}
    if known is not None:
        said["the model's name"] = known.model.pooling
    if chosen.implies_e5:
        said[f"recipe {chosen.recipe.name}"] = "mean"
    if files.pooling is not None:
        said[MODULES_NAME] = files.pooling
    if request.pooling is not None:
        said["--pooling"] = request.pooling
    if not said and chosen.recipe.name in _E5:
        said[f"recipe {chosen.recipe.name}"] = "mean"
    return said


def _choose_pooling(source: str, said: dict[str, Pooling]) -> Pooling:
    if not said:
        raise UnknownPoolingError(source, get_args(Pooling))
    if len(set(said.values())) > 1:
        told = ", ".join(f"{where} says {pooling}" for where, pooling in said.items())
        raise RecipeError(f"{source}: the pooling is in dispute: {told}")
    return next(iter(said.values()))


def _choose_length(
    checkpoint: Checkpoint, files: SentenceFiles, chosen: _Chosen
) -> tuple[int, tuple[str, ...]]:
    # 514 positions of an XLM-R hold 512 tokens.
    most = checkpoint.architecture.positions - checkpoint.architecture.position_offset
    asked = files.max_tokens
    if asked is None or asked == most:
        return most, ()
    if chosen.implies_e5:
        return most, (f"{LENGTH_NAME} says {asked} tokens; recipe {chosen.recipe.name} takes {most}",)
    if asked > most:
        return most, (f"{LENGTH_NAME} says {asked} tokens; the model has positions for {most}",)
    return asked, ()
