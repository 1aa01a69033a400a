"""Options that would change a vector: obeyed, or refused with a sentence, at every path alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import Served

from e5_onnx import Embedder

LONG = "moon river " * 1000
PATHS = {"/v1/embeddings": "input", "/embed": "inputs"}

NOTHING_ASKED: list[dict[str, Any]] = [
    {"normalize": True},
    {"normalize": None},
    {"normalize": ""},
    {"dimensions": 32},
    {"dimensions": "32"},
    {"dimensions": 32.0},
    {"dimensions": ""},
    {"encoding_format": None},
    {"encoding_format": ""},
    {"encoding_format": "float"},
    {"encodingFormat": "float"},
    {"truncation_direction": "Right"},
    {"truncationDirection": "right"},
    {"add_special_tokens": True},
    {"truncate": ""},
    {"user": 5},
    {"user": {}, "metadata": {"a": [1]}, "request_id": "x", "timeout": 3, "store": False, "priority": 0},
    {"options": {"wait_for_model": True, "use_cache": False}},
]

CUTS: list[dict[str, Any]] = [
    {"truncate": True},
    {"truncate": "END"},
    {"truncate": "end"},
    {"truncation": True},
    {"truncate": True, "truncation": True},
    {"truncate_prompt_tokens": -1},
    {"truncatePromptTokens": 128},
    {"truncate_prompt_tokens": "128"},
    {"parameters": {"truncate": True}},
    {"truncate": True, "truncation_direction": "Right"},
]
REFUSES: list[dict[str, Any]] = [
    {"truncate": False},
    {"truncate": "NONE"},
    {"truncation": False},
    {"extra_body": {"truncate": False}},
]

NOT_OFFERED: list[tuple[dict[str, Any], str, str]] = [
    ({"normalize": False}, "normalize", "vectors have length 1"),
    ({"normalize": "no"}, "normalize", "vectors have length 1"),
    ({"dimensions": 16}, "dimensions", "this model has 32 dimensions"),
    ({"dimensions": "16"}, "dimensions", "this model has 32 dimensions"),
    ({"output_dimension": 16}, "output_dimension", "dimensions is what is meant"),
    ({"truncation_direction": "Left"}, "truncation_direction", "cut at their end"),
    ({"truncationDirection": "left"}, "truncation_direction", "cut at their end"),
    ({"parameters": {"truncation_direction": "Left"}}, "truncation_direction", "cut at their end"),
    ({"add_special_tokens": False}, "add_special_tokens", "always added"),
    ({"addSpecialTokens": False}, "add_special_tokens", "always added"),
    ({"truncate": "START"}, "truncate", "true or END"),
    ({"truncate_prompt_tokens": 10}, "truncate_prompt_tokens", "the model's 128 tokens"),
    ({"truncate": True, "truncation": False}, "truncate", "contradict each other"),
    ({"truncate": False, "truncate_prompt_tokens": 128}, "truncate", "contradict each other"),
    ({"encoding_format": "ubinary"}, "encoding_format", "float or base64"),
    ({"options": {"num_ctx": 64}}, "num_ctx", "no field num_ctx"),
]


def ask(served: Served, path: str, text: str, fields: dict[str, Any]) -> Any:
    return served.post(path, **{PATHS[path]: text, "model": "tiny:query", **fields})


def vector(answer: Any) -> np.ndarray:
    values = answer.json()
    return np.array(values["data"][0]["embedding"] if isinstance(values, dict) else values[0])


@pytest.mark.parametrize("path", PATHS)
def test_what_changes_nothing_is_taken(
    path: str, serve_app: Callable[..., Served], tiny_folder: Path
) -> None:
    served = serve_app()
    with Embedder(tiny_folder, threads=1) as model:
        truth = model.embed_queries("moon")
    for fields in NOTHING_ASKED:
        answer = ask(served, path, "moon", fields)
        assert answer.status_code == 200, (fields, answer.text)
        np.testing.assert_allclose(vector(answer), truth, atol=2e-6)


@pytest.mark.parametrize("path", PATHS)
def test_long_texts_are_cut_or_refused_as_the_request_says(
    path: str, serve_app: Callable[..., Served], tiny_folder: Path
) -> None:
    with Embedder(tiny_folder, threads=1, overflow="truncate") as model:
        truth = model.embed_queries(LONG)
    strict, lenient = serve_app(overflow="error"), serve_app(overflow="truncate")
    for fields in CUTS:
        np.testing.assert_allclose(
            vector(ask(strict, path, LONG, fields)), truth, atol=2e-6, err_msg=str(fields)
        )
    for fields in REFUSES:
        refused = ask(lenient, path, LONG, fields)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "text_too_long"), fields
        assert ask(lenient, path, "moon", fields).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_what_is_not_offered_is_refused(path: str, serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    for fields, param, message in NOT_OFFERED:
        refused = ask(served, path, "moon", fields)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (422, "invalid_input", param), fields
        assert message in error["message"], fields


def test_base64_is_openais_alone(serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    assert ask(served, "/v1/embeddings", "moon", {"encoding_format": "base64"}).status_code == 200
    refused = ask(served, "/embed", "moon", {"encoding_format": "base64"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "encoding_format")


def test_token_ids_take_their_role_and_nothing_else(
    serve_app: Callable[..., Served], tiny_folder: Path
) -> None:
    served = serve_app(default_role="document")
    with Embedder(tiny_folder, threads=1) as model:
        roles: tuple[tuple[dict[str, Any], str], ...] = (
            ({"prompt_name": "query"}, "query"),
            ({"input_type": "search_query"}, "query"),
            ({"model": "tiny:raw"}, "raw"),
            ({"parameters": {"add_special_tokens": True}}, "document"),
        )
        for fields, role in roles:
            found = served.post("/tokenize", inputs="moon", **fields).json()
            truth = model.tokenize(["moon"], role=role)[0].tolist()  # type: ignore[arg-type]
            assert [token["id"] for token in found[0]] == truth
    refusals: tuple[tuple[dict[str, Any], str], ...] = (
        ({"add_special_tokens": False}, "add_special_tokens"),
        ({"truncate": True}, "truncate"),
    )
    for fields, param in refusals:
        refused = served.post("/tokenize", inputs="moon", **fields)
        assert (refused.status_code, refused.json()["error"]["param"]) == (422, param)
