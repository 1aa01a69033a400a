"""What is written around a text before the model sees it: one row of data per model family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from e5_onnx.errors import OptionError, RoleError, TaskError

Role = Literal["query", "document", "raw"]
RecipeName = Literal["e5-instruct", "e5-prefix", "plain", "custom"]

ROLES: Final[tuple[Role, ...]] = get_args(Role)

# The default of the model card's own examples and of intfloat's evaluation (microsoft/unilm e5/utils.py).
WEB_SEARCH_TASK: Final = "Given a web search query, retrieve relevant passages that answer the query"


@dataclass(frozen=True, slots=True)
class Template:
    """A text's surroundings: `before` + text + `after`."""

    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """The templates of a model family.

    Attributes:
        name: The row's name, `custom` for templates given by hand, or a word of a newer version.
        query_template: Contains `{text}` once and, where the family takes instructions, `{task}`.
        document_template: Contains `{text}` once.
        default_task: The task of a query that names none, or None where the recipe takes no task.
    """

    name: str
    query_template: str
    document_template: str
    default_task: str | None = None

    @property
    def has_roles(self) -> bool:
        """Whether queries and documents are written differently."""
        return self.query_template != self.document_template

    @property
    def takes_task(self) -> bool:
        """Whether queries carry an instruction."""
        return "{task}" in self.query_template

    def template(self, role: Role, task: str | None = None) -> Template:
        """Returns what surrounds a text of this role.

        Args:
            role: `query`, `document`, or `raw` for the text as it is.
            task: The instruction of a query. None means the recipe's default; an empty string means no
                prefix at all (as in microsoft/unilm e5/utils.py, get_detailed_instruct).

        Raises:
            RoleError: For an unknown role.
            TaskError: For a task where the role or the recipe takes none, or a missing one without default.
        """
        if role not in ROLES:
            raise RoleError(role, ROLES)
        if task is not None and not (role == "query" and self.takes_task):
            raise TaskError(
                f"recipe {self.name!r} takes no task for role {role!r}: leave `task` out"
                if self.takes_task
                else f"recipe {self.name!r} takes no task: leave `task` out"
            )
        if task is not None:
            _check_task(task)
        if role == "raw":
            return Template()
        return self._query_template(task) if role == "query" else _split(self.document_template)

    def choose_role(self, role: Role | None) -> Role:
        """The role asked for; `document` where all texts are written alike.

        Raises:
            OptionError: If none was asked for and it matters.
        """
        if role is None and self.has_roles:
            raise OptionError("role", role, f"one of {', '.join(ROLES)} for recipe {self.name!r}")
        return role or "document"

    def _query_template(self, task: str | None) -> Template:
        if not self.takes_task:
            return _split(self.query_template)
        task = self.default_task if task is None else task
        if task is None:
            raise TaskError(f"recipe {self.name!r} has no default task: pass `task`")
        if not task:
            return Template()
        before, after = self.query_template.split("{text}")
        # The task's own braces stay as they are: it is replaced, not formatted.
        return Template(before.replace("{task}", task), after.replace("{task}", task))


def _check_task(task: object) -> None:
    if not isinstance(task, str):
        raise TaskError(f"`task` is {type(task).__name__}, not str")
    try:
        task.encode()
    except UnicodeEncodeError as error:
        raise TaskError(
            f"`task` has a lone surrogate at character {error.start}: it is not valid Unicode"
        ) from None


def _split(template: str) -> Template:
    before, after = template.split("{text}")
    return Template(before, after)


E5_INSTRUCT: Final = Recipe("e5-instruct", "Instruct: {task}\nQuery: {text}", "{text}", WEB_SEARCH_TASK)
E5_PREFIX: Final = Recipe("e5-prefix", "query: {text}", "passage: {text}")
PLAIN: Final = Recipe("plain", "{text}", "{text}")

RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in (E5_INSTRUCT, E5_PREFIX, PLAIN)}
