"""The interface: OpenAI's and text-embeddings-inference's dialects, roles, and errors in one shape."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import KEY, Served

from e5_onnx import Embedder
from e5_onnx.serve.settings import Limits

TEXTS = ["moon", "the river of the city is red", "", "mond \u00fcber dem Fluss", "a\0b"]
TASK = "Retrieve semantically similar text."
TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Embedder:
    return Embedder(tiny_folder, threads=1)


def vectors(values: dict[str, Any]) -> np.ndarray:
    assert [row["index"] for row in values["data"]] == list(range(len(values["data"])))
    return np.array([row["embedding"] for row in values["data"]], np.float32)


ROLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "query by field": ({"model": "tiny", "input_type": "query"}, {"role": "query"}),
    "document by field": ({"model": "tiny", "input_type": "document"}, {"role": "document"}),
    "raw by field": ({"model": "tiny", "input_type": "raw"}, {"role": "raw"}),
    "query by name": ({"model": "tiny:query"}, {"role": "query"}),
    "document by name": ({"model": "tiny:document"}, {"role": "document"}),
    "both agree": ({"model": "tiny:query", "input_type": "query"}, {"role": "query"}),
    "with a task": ({"model": "tiny:query", "task": TASK}, {"role": "query", "task": TASK}),
}


@pytest.mark.parametrize("case", ROLES)
def test_openai_vectors_are_the_librarys_own(
    case: str, serve_app: Callable[..., Served], model: Embedder
) -> None:
    fields, options = ROLES[case]
    answer = serve_app().post("/v1/embeddings", input=TEXTS, user="someone", **fields)
    assert answer.status_code == 200
    truth = model.encode(TEXTS, **options)
    np.testing.assert_allclose(vectors(answer.json()), truth.vectors, atol=TOLERANCE)
    used = int(truth.tokens.sum())
    assert answer.json()["usage"] == {"prompt_tokens": used, "total_tokens": used}
    assert answer.json()["truncated"] == 0
    assert answer.json()["model"] == fields["model"]
    assert answer.json()["system_fingerprint"] == model.fingerprint == answer.headers["x-e5-fingerprint"]


def test_base64_holds_the_same(serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    asked = {"input": TEXTS, "model": "tiny:document"}
    plain = vectors(served.post("/v1/embeddings", **asked).json())
    coded = served.post("/v1/embeddings", **asked, encoding_format="base64").json()
    found = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in coded["data"]]
    np.testing.assert_allclose(np.stack(found), plain, atol=TOLERANCE)


def test_one_text_is_a_list_of_one(serve_app: Callable[..., Served], model: Embedder) -> None:
    answer = serve_app().post("/v1/embeddings", input="moon", model="tiny:document", dimensions=32).json()
    np.testing.assert_allclose(vectors(answer)[0], model.embed_documents("moon"), atol=TOLERANCE)


@pytest.mark.parametrize("role", ["query", "document", "raw"])
def test_tei_vectors_are_the_librarys_own(
    role: str, serve_app: Callable[..., Served], model: Embedder
) -> None:
    served = serve_app()
    answer = served.post("/embed", inputs=TEXTS, prompt_name=role)
    assert answer.headers["x-e5-truncated"] == "0"
    assert answer.headers["x-e5-fingerprint"] == model.fingerprint
    truth = model.encode(TEXTS, role=role).vectors  # type: ignore[arg-type]
    np.testing.assert_allclose(np.array(answer.json()), truth, atol=TOLERANCE)
    one = served.post("/embed", inputs=TEXTS[0], prompt_name=role, normalize=True).json()
    np.testing.assert_allclose(np.array(one), truth[:1], atol=TOLERANCE)


def test_the_operators_default_role(serve_app: Callable[..., Served], model: Embedder) -> None:
    served = serve_app(default_role="query")
    truth = model.embed_queries("moon")
    openai = vectors(served.post("/v1/embeddings", input="moon", model="tiny").json())[0]
    tei = np.array(served.post("/embed", inputs="moon").json())[0]
    np.testing.assert_allclose(openai, truth, atol=TOLERANCE)
    np.testing.assert_allclose(tei, truth, atol=TOLERANCE)


def test_many_requests_at_once_are_what_they_are_alone(
    serve_app: Callable[..., Served], model: Embedder
) -> None:
    served = serve_app()
    texts = [[f"{'moon river ' * (1 + number % 9)}{number}"] * (1 + number % 3) for number in range(40)]
    requests = [
        (
            "POST",
            "/v1/embeddings",
            {"json": {"model": ("tiny:query", "tiny:document")[number % 2], "input": own}},
        )
        for number, own in enumerate(texts)
    ]
    for number, (answer, own) in enumerate(zip(served.send_all(requests), texts, strict=True)):
        truth = model.encode(own, role=("query", "document")[number % 2])
        np.testing.assert_allclose(vectors(answer.json()), truth.vectors, atol=TOLERANCE)


LONG = "moon river " * 1000


@pytest.mark.parametrize(("overflow", "truncated"), [("truncate", 1), ("warn", 1), ("window", 0)])
def test_long_texts_are_counted(
    overflow: str, truncated: int, serve_app: Callable[..., Served], model: Embedder
) -> None:
    served = serve_app(overflow=overflow)
    answer = served.post("/v1/embeddings", input=["moon", LONG], model="tiny:document").json()
    assert answer["truncated"] == truncated
    truth = model.encode(
        ["moon", LONG], role="document", overflow="window" if overflow == "window" else "truncate"
    )
    np.testing.assert_allclose(vectors(answer), truth.vectors, atol=TOLERANCE)
    assert (answer["usage"]["total_tokens"] > model.max_tokens + 10) == (overflow == "window")


def test_tei_clients_say_whether_to_cut(serve_app: Callable[..., Served]) -> None:
    served = serve_app(overflow="error")
    cut = served.post("/embed", inputs=LONG, prompt_name="query", truncate=True)
    assert (cut.status_code, cut.headers["x-e5-truncated"]) == (200, "1")
    for options in ({}, {"truncate": False}):
        refused = served.post("/embed", inputs=LONG, prompt_name="query", **options)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "text_too_long")


OPENAI, TEI = "/v1/embeddings", "/embed"
INVALID, MALFORMED, TOO_LARGE, NO_MODEL = (
    "invalid_input",
    "malformed_request",
    "request_too_large",
    "model_not_found",
)
WRONG: dict[str, tuple[str, object, int, str, str]] = {
    "no role": (OPENAI, {"model": "tiny", "input": "x"}, 422, INVALID, '"input_type": "query"'),
    "no role, tei": (TEI, {"inputs": "x"}, 422, INVALID, '"prompt_name": "query"'),
    "two roles": (OPENAI, {"model": "tiny:query", "input": "x", "input_type": "document"}, 422, INVALID,
                  "model says query and input_type says document"),
    "another model": (OPENAI, {"model": "ada", "input": "x"}, 404, NO_MODEL, "tiny, tiny:query"),
    "unknown suffix": (OPENAI, {"model": "tiny:latest", "input": "x"}, 404, NO_MODEL, "tiny:document"),
    "another model, tei": (TEI, {"model": "ada", "inputs": "x"}, 404, NO_MODEL, "tiny, tiny:query"),
    "an empty model": (OPENAI, {"model": "", "input": "x"}, 404, NO_MODEL, "tiny, tiny:query"),
    "token ids": (OPENAI, {"model": "tiny:query", "input": [1, 2]}, 422, INVALID,
                  "check_embedding_ctx_length=False"),
    "lists of ids": (OPENAI, {"model": "tiny:query", "input": [[1], [2]]}, 422, INVALID, "send texts"),
    "dimensions": (OPENAI, {"model": "tiny:query", "input": "x", "dimensions": 16}, 422, INVALID,
                   "this model has 32 dimensions"),
    "no text": (OPENAI, {"model": "tiny:query", "input": []}, 422, INVALID, "input is empty"),
    "no text, tei": (TEI, {"inputs": [], "prompt_name": "query"}, 422, INVALID, "inputs is empty"),
    "not normalised": (TEI, {"inputs": "x", "prompt_name": "query", "normalize": False}, 422, INVALID,
                       "leave normalize out"),
    "task of a document": (OPENAI, {"model": "tiny:document", "input": "x", "task": "y"}, 422, INVALID,
                           "takes no task for role 'document'"),
    "task too long": (OPENAI, {"model": "tiny:query", "input": "x", "task": "moon " * 900}, 422, INVALID,
                      "shorten the task"),
    "no model": (OPENAI, {"input": "x"}, 400, MALFORMED, "missing required field `model`"),
    "wrong type": (OPENAI, {"model": "tiny", "input": 7}, 400, MALFORMED, "$.input"),
    "too many texts": (OPENAI, {"model": "tiny:query", "input": ["x"] * 9}, 413, TOO_LARGE,
                       "8 items, this one has 9"),
    "too many tokens": (OPENAI, {"model": "tiny:query", "input": ["moon river city " * 100] * 8}, 413,
                        TOO_LARGE, "1000 tokens"),
    "body too large": (OPENAI, {"model": "tiny:query", "input": "x" * 30_000}, 413, TOO_LARGE,
                       "20000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests(case: str, serve_app: Callable[..., Served]) -> None:
    path, body, status, code, message = WRONG[case]
    served = serve_app(limits=Limits(max_body_mb=0.02, max_items=8, max_tokens=1000))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = served.send("POST", path, content=content)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert message in error["message"]
    assert error.keys() == {"message", "type", "param", "code"}


def test_what_is_served(serve_app: Callable[..., Served], model: Embedder) -> None:
    served = serve_app()
    info = served.send("GET", "/info").json()
    assert info["max_input_length"] == model.max_tokens
    assert info["fingerprint"] == model.fingerprint
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    ids = served.post("/tokenize", inputs=["moon", ""], prompt_name="query").json()
    truth = model.tokenize(["moon", ""], role="query")
    assert [[token["id"] for token in row] for row in ids] == [row.tolist() for row in truth]
    raw = served.post("/tokenize", inputs="moon").json()
    assert [token["id"] for token in raw[0]] == model.tokenize(["moon"], role="raw")[0].tolist()


def test_keys(serve_app: Callable[..., Served]) -> None:
    served = serve_app(keys=(b"another-key-of-16", KEY.encode()))
    body = {"model": "tiny:query", "input": "x"}
    for header, status in {
        f"Bearer {KEY}": 200,
        f"bearer {KEY}": 200,
        "Bearer another-key-of-16": 200,
        f"Bearer {KEY}x": 401,
        "Bearer ": 401,
        KEY: 401,
        "": 401,
    }.items():
        answer = served.send(
            "POST", "/v1/embeddings", json=body, headers={"Authorization": header} if header else {}
        )
        assert answer.status_code == status, header
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    for path, status in {"/health": 200, "/ready": 200, "/": 200, "/info": 401, "/metrics": 401}.items():
        assert served.send("GET", path).status_code == status, path
    counted = served.send("GET", "/metrics", headers={"Authorization": f"Bearer {KEY}"})
    assert 'e5_requests_total{route="/v1/embeddings",status="401"} 4.0' in counted.text
    assert "e5_texts_total 3.0" in counted.text


def test_metrics_are_for_holders_of_a_key(serve_app: Callable[..., Served]) -> None:
    answer = serve_app().send("GET", "/metrics")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_offered")
