"""Which role a request's texts have: one reading for every path and every word that clients have for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from e5_onnx.errors import OptionError
from e5_onnx.recipes import Recipe, Role
from e5_onnx.serve.errors import BadInputError, UnknownModelError
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.wire import RoleFields

# Cohere, Voyage, Jina, Gemini, NVIDIA, sentence-transformers and e5's own papers each have their words.
_ROLES: Final[dict[str, Role]] = {
    "query": "query",
    "search_query": "query",
    "retrieval_query": "query",
    "document": "document",
    "search_document": "document",
    "retrieval_document": "document",
    "retrieval_passage": "document",
    "passage": "document",
    "corpus": "document",
    "raw": "raw",
}

# Tasks in which no text searches another. e5's model cards want them written as queries: by prefix, or with
# an instruction, of which there is one for similarity and none for the others.
_SYMMETRIC: Final[dict[str, str | None]] = {
    "semantic_similarity": "Retrieve semantically similar text.",
    "text_matching": "Retrieve semantically similar text.",
    "classification": None,
    "clustering": None,
}
_E5: Final = ("e5-prefix", "e5-instruct")

# Every field that may hold such a word, in the order in which a disagreement is told.
_FIELDS: Final = ("input_type", "prompt_name", "role", "prompt", "task_type")


@dataclass(frozen=True, slots=True)
class Chosen:
    """How texts are written.

    Attributes:
        role: The role of all of them.
        task: The instruction of queries, or None for the recipe's own.
    """

    role: Role
    task: str | None


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """How this server understands requests.

    Attributes:
        settings: The settings of the server.
        recipe: The recipe of the model.
    """

    settings: Settings
    recipe: Recipe

    def choose(self, asked: RoleFields, *, field: str, otherwise: Role | None = None) -> Chosen:
        """Reads the role of a request.

        Args:
            asked: The request.
            field: The role's field on this route, for the message.
            otherwise: The role if neither the request nor the operator chose one; None to refuse.

        Raises:
            UnknownModelError: If another model is named.
            BadInputError: If two fields contradict each other, one is no role, or there is no role at all.
        """
        said = list(self._said(asked))
        first = said[0][1].role if said else self._default(field, otherwise)
        for place, chosen in said:
            if chosen.role != first:
                raise BadInputError(
                    f"{said[0][0]} says {first} and {place} says {chosen.role}: send one of them", param=place
                )
        if asked.task is not None and _word(asked.task) not in _WORDS:
            return Chosen(first, asked.task)
        return Chosen(first, next((chosen.task for _, chosen in said if chosen.task is not None), None))

    def _said(self, asked: RoleFields) -> Iterator[tuple[str, Chosen]]:
        """Everything that says a role, with the place where it stands."""
        if asked.model is not None:
            name, _, suffix = asked.model.partition(":")
            if name != self.settings.name or (suffix and _word(suffix) not in _WORDS):
                raise UnknownModelError(self.settings.model_names)
            if suffix:
                yield "model", self._understand(suffix, "model", asked.task)
        for field in _FIELDS:
            value = getattr(asked, field)
            if value is not None:
                yield field, self._understand(value, field, asked.task)
        if _word(asked.task) in _WORDS:
            yield "task", self._understand(asked.task, "task", None)

    def _understand(self, value: str | None, field: str, task: str | None) -> Chosen:
        word = _word(value)
        if word in _ROLES:
            return Chosen(_ROLES[word], None)
        if word not in _SYMMETRIC:
            raise BadInputError(
                f'{field} is not a role: say "query", "document" or "raw", or one of their usual synonyms',
                param=field,
            )
        if not self.recipe.has_roles:
            return Chosen("document", None)
        own = _SYMMETRIC[word] if self.recipe.takes_task else None
        if self.recipe.name not in _E5 or (
            self.recipe.takes_task and own is None and _word(task) in {"", *_WORDS}
        ):
            raise BadInputError(
                f"this model has no way of its own to write texts for {word}: say which role they have, "
                'and for a query the instruction as "task" if the model takes one',
                param=field,
            )
        return Chosen("query", own)

    def _default(self, field: str, otherwise: Role | None) -> Role:
        try:
            return self.recipe.choose_role(self.settings.default_role or otherwise)
        except OptionError as error:
            name = self.settings.name
            raise BadInputError(
                "this model writes queries and documents differently: say which these texts are with "
                f'"{field}": "query" or "document", or by the model name "{name}:query" or '
                f'"{name}:document"; the operator can choose one for such requests with `default_role`',
                param=field,
            ) from error


_WORDS: Final = {*_ROLES, *_SYMMETRIC}


def _word(value: str | None) -> str:
    return (value or "").strip().lower().replace("-", "_").replace(".", "_").replace(" ", "_")
