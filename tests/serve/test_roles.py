"""One reading of the role, at both paths and in every word that clients have for it; never ignored."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import Served

from e5_onnx import Embedder
from e5_onnx.recipes import E5_INSTRUCT, E5_PREFIX, PLAIN, Recipe
from e5_onnx.serve.errors import BadInputError
from e5_onnx.serve.roles import Chosen, RoleChoice
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.wire import EmbedRequest

TEXT = "the river of the city is red"
SIMILAR = "Retrieve semantically similar text."
PATHS = {"/v1/embeddings": "input", "/embed": "inputs", "/": "inputs", "/invocations": "inputs"}


@pytest.fixture(scope="module")
def truth(tiny_folder: Path) -> dict[str, np.ndarray]:
    with Embedder(tiny_folder, threads=1) as model:
        found = {role: model.encode([TEXT], role=role).vectors[0] for role in ("query", "document", "raw")}
        found["similar"] = model.encode([TEXT], role="query", task=SIMILAR).vectors[0]
    assert np.abs(found["query"] - found["similar"]).max() > 1e-3
    return found


def ask(served: Served, path: str, fields: dict[str, Any]) -> Any:
    body = {PATHS[path]: TEXT, **({"model": "tiny"} if path == "/v1/embeddings" else {}), **fields}
    answer = served.send("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    values = answer.json()
    return np.array(values["data"][0]["embedding"] if path == "/v1/embeddings" else values[0], np.float32)


SAID: list[tuple[dict[str, Any], str]] = [
    ({"input_type": "query"}, "query"),
    ({"inputType": "query"}, "query"),
    ({"prompt_name": "query"}, "query"),
    ({"promptName": "query"}, "query"),
    ({"role": "query"}, "query"),
    ({"prompt": "query"}, "query"),
    ({"task_type": "RETRIEVAL_QUERY"}, "query"),
    ({"taskType": "RETRIEVAL_QUERY"}, "query"),
    ({"model": "tiny:query"}, "query"),
    ({"model": "tiny:Search_Query"}, "query"),
    ({"model": "tiny:raw"}, "raw"),
    ({"parameters": {"prompt_name": "query"}}, "query"),
    ({"parameters": {"inputType": "query"}}, "query"),
    ({"extra_body": {"input_type": "query"}}, "query"),
    ({"extra_body": {"role": "search_query"}}, "query"),
    ({"options": {"wait_for_model": True}, "role": "query"}, "query"),
    ({"input_type": "search_query"}, "query"),
    ({"input_type": "QUERY"}, "query"),
    ({"input_type": " Query "}, "query"),
    ({"task": "retrieval.query"}, "query"),
    ({"input_type": "search_document"}, "document"),
    ({"prompt_name": "passage"}, "document"),
    ({"prompt_name": "Passage"}, "document"),
    ({"prompt_name": "corpus"}, "document"),
    ({"task": "retrieval.passage"}, "document"),
    ({"role": "raw"}, "raw"),
    ({"input_type": "query", "prompt_name": "search_query", "model": "tiny:query"}, "query"),
    ({"input_type": "query", "task": SIMILAR}, "similar"),
    ({"model": "tiny:query", "task": SIMILAR}, "similar"),
    ({"task_type": "SEMANTIC_SIMILARITY"}, "similar"),
    ({"task": "text-matching"}, "similar"),
    ({"task": "text-matching", "role": "query"}, "similar"),
    ({"input_type": "clustering", "task": SIMILAR}, "similar"),
    # What says nothing leaves the choice to the operator, who chose documents.
    ({}, "document"),
    ({"input_type": None, "prompt_name": "", "role": None, "task": "", "parameters": None}, "document"),
    ({"input_type": "", "model": "tiny:query", "task": ""}, "query"),
    ({"parameters": {"prompt_name": ""}, "extra_body": "", "input_type": "query"}, "query"),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_role_that_is_said_is_obeyed(
    path: str, serve_app: Callable[..., Served], truth: dict[str, np.ndarray]
) -> None:
    served = serve_app(default_role="document")
    for fields, role in SAID:
        found = ask(served, path, fields)
        np.testing.assert_allclose(found, truth[role], atol=2e-6, err_msg=f"{path} {fields}")


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"input_type": "question"}, "input_type", 'say "query", "document" or "raw"'),
    ({"prompt": "query: "}, "prompt", "prompt is not a role"),
    ({"parameters": {"prompt_name": "s2s"}}, "prompt_name", "is not a role"),
    ({"input_type": "query", "prompt_name": "passage"}, "prompt_name",
     "input_type says query and prompt_name says document"),
    ({"model": "tiny:query", "role": "document"}, "role", "model says query and role says document"),
    ({"input_type": "query", "inputType": "document"}, "inputType", "input_type and inputType say different"),
    ({"input_type": "query", "parameters": {"input_type": "document"}}, "parameters.input_type",
     "input_type and parameters.input_type say different things"),
    ({"input_type": "classification"}, "input_type", "no way of its own to write texts for classification"),
    ({"task": "clustering"}, "task", "for clustering"),
    ({"input_type": "document", "task": SIMILAR}, None, "takes no task for role 'document'"),
    ({"instruction": SIMILAR}, "instruction", "there is no field instruction .*task is what is meant"),
    ({"prefix": "query: "}, "prefix", "input_type is what is meant"),
    ({"parameters": "query"}, "parameters", "send an object"),
    ({"parameters": {"input": "x"}}, "input", "no field input"),
    ({"late_chunking": True}, "late_chunking", "none is ignored.*leave it out"),
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_what_cannot_be_obeyed_is_refused(path: str, serve_app: Callable[..., Served]) -> None:
    served = serve_app(default_role="document")
    for fields, param, message in REFUSED:
        body = {PATHS[path]: TEXT, "model": "tiny", **fields}
        answer = served.send("POST", path, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (422, "invalid_input", param), fields
        assert re.search(message, error["message"]), fields


def test_a_text_in_the_place_of_a_name_is_not_repeated(serve_app: Callable[..., Served]) -> None:
    answer = serve_app().post("/embed", inputs=TEXT, **{"my secret text": 1})
    assert answer.status_code == 422
    assert "secret" not in answer.text
    assert "no field of that name" in answer.text


def choice(recipe: Recipe, **options: Any) -> RoleChoice:
    return RoleChoice(Settings(Path(), "tiny", **options), recipe)


CUSTOM = Recipe("custom", "q {text}", "d {text}")


@pytest.mark.parametrize(
    ("recipe", "fields", "chosen"),
    [
        (E5_PREFIX, {"input_type": "classification"}, Chosen("query", None)),
        (E5_PREFIX, {"input_type": "clustering"}, Chosen("query", None)),
        (E5_PREFIX, {"input_type": "semantic_similarity"}, Chosen("query", None)),
        (E5_INSTRUCT, {"input_type": "semantic_similarity"}, Chosen("query", SIMILAR)),
        (E5_INSTRUCT, {"input_type": "classification", "task": "Name it"}, Chosen("query", "Name it")),
        (PLAIN, {"input_type": "classification"}, Chosen("document", None)),
        (PLAIN, {}, Chosen("document", None)),
        (PLAIN, {"model": "tiny:query"}, Chosen("query", None)),
        (CUSTOM, {"input_type": "passage"}, Chosen("document", None)),
    ],
)  # fmt: skip
def test_the_model_decides_what_a_word_means(recipe: Recipe, fields: dict[str, Any], chosen: Chosen) -> None:
    assert choice(recipe).choose(EmbedRequest(inputs="x", **fields), field="input_type") == chosen


@pytest.mark.parametrize(
    ("recipe", "fields"),
    [
        (E5_INSTRUCT, {"input_type": "classification"}),
        (E5_INSTRUCT, {"input_type": "classification", "task": "classification"}),
        (CUSTOM, {"input_type": "clustering"}),
    ],
)
def test_a_task_that_the_model_has_no_words_for_is_refused(recipe: Recipe, fields: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="no way of its own"):
        choice(recipe).choose(EmbedRequest(inputs="x", **fields), field="input_type")


def test_without_a_role_and_a_default_the_message_says_what_to_send() -> None:
    with pytest.raises(BadInputError, match=r'"prompt_name": "query" .* "tiny:query"'):
        choice(E5_PREFIX).choose(EmbedRequest(inputs="x"), field="prompt_name")
    found = choice(E5_PREFIX).choose(EmbedRequest(inputs="x"), field="prompt_name", otherwise="raw")
    assert found == Chosen("raw", None)
    found = choice(E5_PREFIX, default_role="query").choose(
        EmbedRequest(inputs="x"), field="x", otherwise="raw"
    )
    assert found == Chosen("query", None)
