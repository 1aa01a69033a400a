from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e5_onnx.errors import RoleError, TaskError
from e5_onnx.recipes import (
    E5_INSTRUCT,
    E5_PREFIX,
    PLAIN,
    RECIPES,
    ROLES,
    WEB_SEARCH_TASK,
    Recipe,
    RecipeName,
    Role,
    Template,
)

CUSTOM = Recipe("custom", "{task} | <{text}>", "[{text}]")


def render(template: Template, text: str) -> str:
    return template.before + text + template.after


@pytest.mark.parametrize(
    ("recipe", "role", "expected"),
    [
        (
            E5_INSTRUCT,
            "query",
            "Instruct: Given a web search query, retrieve relevant passages that answer the query\n"
            "Query: tea?",
        ),
        (E5_INSTRUCT, "document", "tea?"),
        (E5_INSTRUCT, "raw", "tea?"),
        (E5_PREFIX, "query", "query: tea?"),
        (E5_PREFIX, "document", "passage: tea?"),
        (E5_PREFIX, "raw", "tea?"),
        (PLAIN, "query", "tea?"),
        (PLAIN, "document", "tea?"),
        (PLAIN, "raw", "tea?"),
        (CUSTOM, "document", "[tea?]"),
        (CUSTOM, "raw", "tea?"),
    ],
)
def test_each_role_of_each_recipe_byte_for_byte(recipe: Recipe, role: Role, expected: str) -> None:
    assert render(recipe.template(role), "tea?") == expected


def test_a_task_stands_where_the_default_would() -> None:
    assert E5_INSTRUCT.template("query", "Find the duplicate") == Template(
        "Instruct: Find the duplicate\nQuery: ", ""
    )


def test_the_default_task_is_the_model_cards() -> None:
    assert E5_INSTRUCT.default_task == WEB_SEARCH_TASK
    assert E5_INSTRUCT.template("query", WEB_SEARCH_TASK) == E5_INSTRUCT.template("query")


@pytest.mark.parametrize("recipe", [E5_INSTRUCT, CUSTOM])
def test_an_empty_task_means_no_prefix(recipe: Recipe) -> None:
    assert recipe.template("query", "") == Template("", "")


@given(text=st.text(), task=st.text(min_size=1))
def test_braces_in_task_and_text_survive(text: str, task: str) -> None:
    rendered = render(E5_INSTRUCT.template("query", task), text)
    assert rendered == "Instruct: " + task + "\nQuery: " + text


@pytest.mark.parametrize("task", ["{text}", "{task}", "{0}", "{", "}}", "{text} and {task}"])
def test_a_task_that_looks_like_a_template_is_text(task: str) -> None:
    assert CUSTOM.template("query", task) == Template(task + " | <", ">")


@pytest.mark.parametrize("role", ["document", "raw"])
@pytest.mark.parametrize("task", ["find", ""])
def test_only_queries_take_a_task(role: Role, task: str) -> None:
    with pytest.raises(
        TaskError, match=rf"recipe 'e5-instruct' takes no task for role '{role}': leave `task` out"
    ):
        E5_INSTRUCT.template(role, task)


@pytest.mark.parametrize("recipe", [E5_PREFIX, PLAIN])
@pytest.mark.parametrize("task", ["find", ""])
def test_recipes_without_instructions_take_no_task(recipe: Recipe, task: str) -> None:
    with pytest.raises(TaskError, match=rf"recipe '{recipe.name}' takes no task: leave `task` out"):
        recipe.template("query", task)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (5, "`task` is int, not str"),
        (["find"], "`task` is list, not str"),
        (b"find", "`task` is bytes, not str"),
        ("ab\ud800", "`task` has a lone surrogate at character 2: it is not valid Unicode"),
    ],
)
def test_a_task_that_is_no_text_is_refused(task: object, message: str) -> None:
    with pytest.raises(TaskError, match=f"^{message}$"):
        E5_INSTRUCT.template("query", task)  # type: ignore[arg-type]


def test_a_task_may_stand_behind_the_text() -> None:
    behind = Recipe("custom", "{text} ({task})", "{text}", "find it")
    assert behind.takes_task
    assert render(behind.template("query"), "tea?") == "tea? (find it)"
    assert render(behind.template("query", "{text}"), "tea?") == "tea? ({text})"
    both = Recipe("custom", "{task}: {text} [{task}]", "{text}")
    assert render(both.template("query", "find"), "tea?") == "find: tea? [find]"


def test_a_recipe_without_default_wants_a_task() -> None:
    with pytest.raises(TaskError, match="recipe 'custom' has no default task: pass `task`"):
        CUSTOM.template("query")


@pytest.mark.parametrize("role", ["passage", "", None, 1])
def test_an_unknown_role_is_refused_before_anything_else(role: object) -> None:
    with pytest.raises(RoleError, match=f"unknown role: {role!r}; choose one of query, document, raw"):
        PLAIN.template(role, "a task")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recipe", "has_roles", "takes_task"),
    [(E5_INSTRUCT, True, True), (E5_PREFIX, True, False), (PLAIN, False, False), (CUSTOM, True, True)],
)
def test_what_a_recipe_needs(recipe: Recipe, has_roles: bool, takes_task: bool) -> None:
    assert (recipe.has_roles, recipe.takes_task) == (has_roles, takes_task)


def test_rows_are_found_by_name_and_cover_all_names_but_custom() -> None:
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}
    assert {*RECIPES, "custom"} == set(get_args(RecipeName))
    assert ROLES == ("query", "document", "raw")
