"""The table of routes: paths, handlers and descriptions."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from e5_onnx.serve import openai_api, playground, status_api, tei_api
from e5_onnx.serve.answers import answer
from e5_onnx.serve.errors import MethodError, UnknownPathError
from e5_onnx.serve.openapi import document
from e5_onnx.serve.other_paths import hint_for
from e5_onnx.serve.route import Route
from e5_onnx.serve.state import State
from e5_onnx.serve.wire import (
    EmbeddingsAnswer,
    EmbeddingsRequest,
    EmbedRequest,
    Info,
    ModelCard,
    ModelList,
    Token,
    TokenizeRequest,
)


async def _openapi(_request: Request, state: State) -> Response:
    return answer(document(state.settings.name, ROUTES))


_PAGE: Final = tuple(
    Route("GET", (path,), file.send, f"The page to try it: {file.name}", file.kind, access="browser")
    for path, file in playground.FILES.items()
)

ROUTES: Final = (
    Route("POST", ("/v1/embeddings", "/embeddings"), openai_api.embeddings, "Embeds texts (OpenAI)",
          EmbeddingsAnswer, EmbeddingsRequest),
    Route("GET", ("/v1/models", "/models"), openai_api.models, "Names of the model (OpenAI)", ModelList),
    Route("GET", ("/v1/models/{model}",), openai_api.model, "One name of the model (OpenAI)", ModelCard),
    Route("POST", ("/embed", "/", "/invocations"), tei_api.embed, "Embeds texts (text-embeddings-inference)",
          list[list[float]], EmbedRequest),
    Route("POST", ("/tokenize",), tei_api.tokenize, "Token ids of texts", list[list[Token]], TokenizeRequest),
    Route("GET", ("/info",), tei_api.info, "What is served, and its limits", Info),
    Route("GET", ("/health",), status_api.health, "Whether it lives", dict[str, str], access="probe"),
    Route("GET", ("/ready",), status_api.ready, "Whether it takes work", dict[str, str], access="probe"),
    Route("GET", ("/metrics",), status_api.metrics, "Counters, for Prometheus", "text/plain"),
    Route("GET", ("/openapi.json",), _openapi, "This interface", Info, access="browser"),
    *_PAGE,
)  # fmt: skip

PATHS: Final = frozenset(path for route in ROUTES for path in route.paths)
PROBES: Final = frozenset(path for route in ROUTES if route.access == "probe" for path in route.paths)

_METHODS: Final = {"GET": ("GET", "HEAD"), "POST": ("POST",)}
_TEMPLATES: Final = {path: re.compile(path.replace("{model}", ".+")) for path in PATHS if "{" in path}


def find_path(asked: str) -> str | None:
    """The path of the table that was asked for, in whatever number of slashes; None if there is none."""
    path = re.sub(r"/{2,}", "/", asked)
    path = path if path == "/" else path.removesuffix("/")
    if path in PATHS:
        return path
    return next((name for name, pattern in _TEMPLATES.items() if pattern.fullmatch(path)), None)


def find_route(asked: str, method: str) -> Route:
    """The route of a request.

    Raises:
        UnknownPathError: If there is nothing at the path.
        MethodError: If there is, by another method.
    """
    path = find_path(asked)
    if path is None:
        raise UnknownPathError(hint_for(asked, PATHS))
    here = [route for route in ROUTES if path in route.paths]
    for route in here:
        if method in _METHODS[route.method]:
            return route
    raise MethodError([name for route in here for name in _METHODS[route.method]])
