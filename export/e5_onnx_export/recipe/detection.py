"""Which templates, pooling and length a checkpoint is to be used with, and who says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, get_args

from e5_onnx.model_folder.manifest import Pooling
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, Recipe
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.checkpoint.checkpoint_folder import MODULES_NAME
from e5_onnx_export.checkpoint.prompts import PROMPTS_NAME, Prompts
from e5_onnx_export.checkpoint.sentence_files import SentenceFiles, read_sentence_files
from e5_onnx_export.checkpoint.tokenizer_settings import TOKENIZER_CONFIG_NAME
from e5_onnx_export.errors import RecipeError, UnknownPoolingError, UnknownRecipeError, UnsupportedModelError
from e5_onnx_export.recipe.known_models import Recognition, recognise_model
from e5_onnx_export.recipe.prompts import agrees, prompt_choices, prompt_recipe, unused_note
from e5_onnx_export.recipe.request import RecipeRequest, requested_recipe


@dataclass(frozen=True, slots=True)
class EncodingChoice:
    """The recipe that was chosen.

    Attributes:
        recipe: The templates.
        pooling: How token vectors become one; the result is always normalised.
        max_tokens: The longest text, in tokens, template and special tokens included.
        by_prompts: Whether the templates are the checkpoint's prompts, as sentence-transformers uses them.
        notes: Sentences for the person who exports, on what is not evident.
    """

    recipe: Recipe
    pooling: Pooling
    max_tokens: int
    by_prompts: bool = False
    notes: tuple[str, ...] = ()


_E5: Final = (E5_INSTRUCT.name, E5_PREFIX.name)
_CHOICES: Final = (
    f"recipe={E5_INSTRUCT.name!r}   queries {E5_INSTRUCT.query_template!r}, documents as they are",
    f"recipe={E5_PREFIX.name!r}     queries {E5_PREFIX.query_template!r}, "
    f"documents {E5_PREFIX.document_template!r}",
    f"recipe={PLAIN.name!r}         every text as it is",
    "`query_template`, `document_template`   your own, each with {text} once",
)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A recipe, and its source.

    Attributes:
        recipe: The templates.
        known: The known model whose pooling goes with it, or None.
        by_prompts: Whether the templates are the checkpoint's prompts.
        notes: Remarks on what is not evident.
    """

    recipe: Recipe
    known: Recognition | None = None
    by_prompts: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The known facts about a checkpoint's prompt templates.

    Attributes:
        source: The checkpoint's name.
        prompts: Its prompts, or None.
        found: The recipe of its prompts, or None.
        asked: The caller's recipe, or None.
        known: The known model that it is, or is taken for, or None.
    """

    source: str
    prompts: Prompts | None
    found: Recipe | None
    asked: Recipe | None
    known: Recognition | None

    @property
    def named(self) -> Recognition | None:
        """The known model, where the checkpoint has its full name."""
        return self.known if self.known is not None and self.known.ground is None else None


def detect(checkpoint: Checkpoint, request: RecipeRequest) -> EncodingChoice:
    """Chooses the recipe, the pooling and the longest text.

    The recipe is the caller's, else that of a model known by its full name, else that of the checkpoint's own
    prompts, else that of a model it is taken for.

    Args:
        checkpoint: The checkpoint.
        request: The options that the caller gave.

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
    chosen = _choose_recipe(checkpoint, files, request)
    if not files.pools_prompt and _writes_something(chosen.recipe):
        raise UnsupportedModelError(
            source,
            "it leaves the prompt's tokens out of the pooling (include_prompt), and the graph pools all",
        )
    pooling = _choose_pooling(source, request.pooling, files.pooling, chosen=chosen)
    max_tokens, notes = _choose_length(checkpoint)
    if files.normalizes is False:
        notes += (f"{MODULES_NAME} has no Normalize module; vectors are normalised all the same",)
    notes = (*chosen.notes, *unused_note(files.prompts, chosen.recipe), *notes)
    return EncodingChoice(chosen.recipe, pooling, max_tokens, chosen.by_prompts, notes)


def _choose_recipe(checkpoint: Checkpoint, files: SentenceFiles, request: RecipeRequest) -> _Chosen:
    found = prompt_recipe(files.prompts)
    evidence = _Evidence(
        source=checkpoint.source.name,
        prompts=files.prompts,
        found=found,
        asked=requested_recipe(request, found),
        known=recognise_model(checkpoint),
    )
    for source in _SOURCES:
        chosen = source(evidence)
        if chosen is not None:
            return chosen
    raise UnknownRecipeError(evidence.source, (*prompt_choices(files.prompts), *_CHOICES))


def _as_asked(evidence: _Evidence) -> _Chosen | None:
    asked, found = evidence.asked, evidence.found
    if asked is None:
        return None
    if found is not None and not agrees(evidence.prompts, asked):
        raise _conflict(evidence.source, asked, found)
    return _Chosen(_with_task(asked, found), evidence.named)


def _as_named(evidence: _Evidence) -> _Chosen | None:
    named = evidence.named
    if named is None or not agrees(evidence.prompts, named.model.recipe):
        return None
    return _Chosen(_with_task(named.model.recipe, evidence.found), named)


def _as_prompted(evidence: _Evidence) -> _Chosen | None:
    found = evidence.found
    if found is None:
        return None
    return _Chosen(found, by_prompts=True, notes=(f"{PROMPTS_NAME} says {_describe(found)}",))


def _as_guessed(evidence: _Evidence) -> _Chosen | None:
    known = evidence.known
    if known is None:
        return None
    guess = f"taken for {known.name}, because {known.ground}: if it is not, pass `recipe`"
    return _Chosen(known.model.recipe, known, notes=(guess,))


# Who says how texts are written: the first that says anything is followed.
_SOURCES: Final = (_as_asked, _as_named, _as_prompted, _as_guessed)


def _conflict(source: str, asked: Recipe, found: Recipe) -> RecipeError:
    return RecipeError(
        f"{source}: the request asks for {_describe(asked)}, but {PROMPTS_NAME} says {_describe(found)}: "
        "leave `recipe` and the templates out, or change that file"
    )


def _with_task(recipe: Recipe, found: Recipe | None) -> Recipe:
    """The checkpoint's prompt may know the usual task. The templates agree, or nothing came this far."""
    if found is None or found.default_task is None:
        return recipe
    return replace(recipe, default_task=found.default_task)


def _describe(recipe: Recipe) -> str:
    return f"{recipe.name} (queries {recipe.query_template!r}, documents {recipe.document_template!r})"


def _writes_something(recipe: Recipe) -> bool:
    return (recipe.query_template, recipe.document_template) != (
        PLAIN.query_template,
        PLAIN.document_template,
    )


def _choose_pooling(source: str, asked: Pooling | None, said: Pooling | None, *, chosen: _Chosen) -> Pooling:
    if said is not None and asked not in (None, said):
        raise RecipeError(
            f"{source}: pooling={asked!r} is asked for, but {MODULES_NAME} says {said}: leave `pooling` out, "
            "or change that file"
        )
    found = asked or said
    if found is not None:
        return found
    if chosen.known is not None:
        return chosen.known.model.pooling
    if chosen.recipe.name in _E5:
        return "mean"
    raise UnknownPoolingError(source, get_args(Pooling))


def _choose_length(checkpoint: Checkpoint) -> tuple[int, tuple[str, ...]]:
    # 514 positions of an XLM-R hold 512 tokens.
    most = checkpoint.architecture.positions - checkpoint.architecture.position_offset
    asked = checkpoint.length
    if asked is None or asked.tokens <= most:
        return most if asked is None else asked.tokens, ()
    if asked.file == TOKENIZER_CONFIG_NAME:
        # Without a limit of its own a tokenizer has 1e30 there.
        return most, ()
    return most, (f"{asked.file} says {asked.tokens} tokens; the model has positions for {most}",)
