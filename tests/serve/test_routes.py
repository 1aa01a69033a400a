"""Paths and hosts: the one table of routes, names for the same path, and what strangers are told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from served import KEY, Served

from e5_onnx.serve.app import make_metrics_app
from e5_onnx.serve.routes import PATHS, ROUTES

# Written by hand: the table and the document are both held to it.
OFFERED = {
    ("POST", "/v1/embeddings"), ("POST", "/embeddings"),
    ("GET", "/v1/models"), ("GET", "/models"), ("GET", "/v1/models/{model}"),
    ("POST", "/embed"), ("POST", "/"), ("POST", "/invocations"), ("POST", "/tokenize"),
    ("GET", "/info"), ("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/openapi.json"),
    ("GET", "/"), ("GET", "/playground.js"), ("GET", "/playground.css"), ("GET", "/icon.svg"),
}  # fmt: skip


def test_the_document_and_the_router_know_the_same_routes(serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    document = served.send("GET", "/openapi.json").json()
    assert {(method.upper(), path) for path, row in document["paths"].items() for method in row} == OFFERED
    for method, path in OFFERED:
        answer = served.send(method, path.replace("{model}", "tiny:query"))
        assert answer.status_code not in (404, 405), (method, path)
        other = served.send("DELETE", path.replace("{model}", "tiny"))
        assert other.status_code == 405
        assert method in other.headers["allow"].split(", ")


def test_the_document_describes_what_is_sent(serve_app: Callable[..., Served]) -> None:
    document = serve_app().send("GET", "/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    post = document["paths"]["/v1/embeddings"]["post"]
    assert {"200", "400", "401", "413", "415", "422", "429", "503"} <= post["responses"].keys()
    assert "text_too_long" in post["responses"]["422"]["description"]
    sent = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][sent]
    assert schema["required"] == ["model", "input"]
    assert {"input_type", "task", "truncate", "dimensions", "user"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
    assert document["paths"]["/metrics"]["get"]["responses"]["200"]["content"] == {"text/plain": {}}
    assert document["paths"]["/health"]["get"]["security"] == []
    assert document["paths"]["/info"]["get"]["security"] == [{"key": []}]
    assert document["paths"]["/v1/models/{model}"]["get"]["parameters"][0]["in"] == "path"


SAME = {
    "/v1/embeddings": (
        "/v1/embeddings/",
        "//v1/embeddings",
        "/v1//embeddings//",
        "/embeddings",
        "/embeddings/",
    ),
    "/embed": ("/", "//", "/invocations", "/embed/", "//embed"),
}


@pytest.mark.parametrize("path", SAME)
def test_other_names_of_a_path_answer_alike(path: str, serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    body = {"inputs" if path == "/embed" else "input": "moon", "model": "tiny:query"}
    truth = served.post(path, **body)
    assert truth.status_code == 200
    for other in SAME[path]:
        answer = served.send("POST", f"http://localhost{other}", json=body)
        assert (answer.status_code, answer.json()) == (200, truth.json()), other
    counted = served.state.metrics.text().decode()
    assert f'route="{path}",status="200"' in counted


def test_models_by_name(serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    listed = served.send("GET", "/v1/models").json()
    fingerprint = served.model.manifest.fingerprint
    assert [row["id"] for row in listed["data"]] == ["tiny", "tiny:query", "tiny:document"]
    assert {row["fingerprint"] for row in listed["data"]} == {fingerprint}
    for name, row in zip(("tiny", "tiny:query", "tiny%3Adocument"), listed["data"], strict=True):
        assert served.send("GET", f"/v1/models/{name}").json() == row
        assert served.send("GET", f"/v1/models/{name}/").json() == row
    absent = served.send("GET", "/v1/models/ada")
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "model_not_found")
    assert served.send("HEAD", "/health").status_code == 200


STRANGERS = {
    "/api/embed": "Ollama's; call POST /v1/embeddings",
    "/api/embeddings": "Ollama's",
    "/api/tags": "looks like Ollama's",
    "/v1/embed": "Cohere's; call POST /v1/embeddings",
    "/v2/embed": "Cohere's",
    "/openai/deployments/e5/embeddings": "Azure's; call POST /v1/embeddings",
    "/openai/v1/embeddings": "Azure's",
    "/v1beta/models/e5:embedContent": "Gemini's",
    "/v1/v1/embeddings": "ends in /v1 twice",
    "/v1/chat/completions": "this server only embeds",
    "/rerank": "text-embeddings-inference's, and not offered; call POST /embed",
    "/v1/rerank": "not offered",
    "/embed_all": "call POST /embed",
    "/embed_sparse": "not offered",
    "/similarity": "not offered",
    "/decode": "not offered",
    "/pipeline/feature-extraction/e5": "Hugging Face",
    "/models/e5/pipeline/feature-extraction": "Hugging Face",
    "/v2/models/e5/infer": "KServe's",
    "/healthz": "call GET /health",
    "/readyz": "call GET /ready",
    "/docs": "/openapi.json",
    "/v1/embedding": "did you mean /v1/embeddings?",
    "/v2/embeddings": "did you mean /v1/embeddings?",
    "/tokenise": "did you mean /tokenize?",
    "/a/secret": "GET /openapi.json lists what there is",
    "/" + "x" * 5000: "GET /openapi.json lists what there is",
}


@pytest.mark.parametrize("path", STRANGERS, ids=lambda path: path[:20])
def test_strangers_are_told_what_to_call(path: str, serve_app: Callable[..., Served]) -> None:
    answer = serve_app().post(path, input="moon")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "not_found")
    assert STRANGERS[path] in error["message"]
    assert "secret" not in error["message"]


def test_every_hint_names_a_path_that_is_there(serve_app: Callable[..., Served]) -> None:
    served = serve_app()
    for path in STRANGERS:
        message = served.post(path, input="x").json()["error"]["message"]
        named = re.findall(r"(?:POST|GET|mean) (/[\w./]*)", message)
        assert set(named) <= PATHS, path
    assert all(path.startswith("/") for route in ROUTES for path in route.paths)


NAMES = ("evil.example", "localhost.evil.example", "e5", "", "host.docker.internal", "*", "localhost:evil")
ADDRESSES = ("127.0.0.1:8080", "[::1]:8080", "10.244.1.5:8080", "0.0.0.0", "127.0.1.1", "[fe80::1]")  # noqa: S104
OWN = ("localhost", "LOCALHOST:8080", "localhost.", "localhost.:8080", "E5.example", "e5.example.:443")


def status(served: Served, path: str, host: str) -> int:
    return served.send("GET", path, headers={"Host": host}).status_code


def test_without_a_key_nobody_comes_in_by_a_strangers_name(serve_app: Callable[..., Served]) -> None:
    served = serve_app(allowed_hosts=("e5.example",))
    for path in ("/info", "/", "/openapi.json", "/nothing"):
        assert {status(served, path, host) for host in NAMES} == {403}
        assert 403 not in {status(served, path, host) for host in (*ADDRESSES, *OWN)}
    refused = served.send("GET", "/info", headers={"Host": "evil.example"}).json()["error"]
    assert (refused["code"], "`allow_host`" in refused["message"]) == ("host_not_allowed", True)


def test_probes_may_come_by_any_name(serve_app: Callable[..., Served]) -> None:
    served = serve_app(keys=())
    assert {status(served, path, host) for path in ("/health", "/ready", "/health/") for host in NAMES} == {
        200
    }


@pytest.mark.parametrize(
    "options", [{"keys": (KEY.encode(),)}, {"allowed_hosts": ("*",)}], ids=["key", "star"]
)
def test_with_a_key_or_a_star_any_name_is_right(
    options: dict[str, object], serve_app: Callable[..., Served]
) -> None:
    served = serve_app(**options)
    headers = {"Authorization": f"Bearer {KEY}"}
    for host in (*NAMES, *ADDRESSES, *OWN):
        answer = served.send("GET", "/info", headers={"Host": host, **headers})
        assert answer.status_code == 200, host


def test_every_answer_is_safe_to_open_in_a_browser(serve_app: Callable[..., Served]) -> None:
    for path in ("/", "/nothing", "/health"):
        headers = serve_app().send("GET", path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [("/metrics", "127.0.0.1:9100", 200), ("/metrics", "localhost:9100", 200),
     ("/metrics", "10.0.0.7:9100", 200),
     ("/metrics", "prometheus.example:9100", 200), ("/metrics", "evil.example", 403), ("/metrics", "", 403),
     ("/info", "localhost", 404)],
)  # fmt: skip
def test_counters_at_their_own_address_are_no_strangers_either(
    path: str, host: str, status: int, serve_app: Callable[..., Served]
) -> None:
    served = serve_app(
        keys=(KEY.encode(),), metrics=("127.0.0.1", 9100), allowed_hosts=("prometheus.example",)
    )
    served.app = make_metrics_app(served.settings, served.state.metrics)
    assert served.send("GET", path, headers={"Host": host}).status_code == status
