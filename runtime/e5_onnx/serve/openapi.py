"""The OpenAPI document, made from the same structs that decode requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from e5_onnx import __version__
from e5_onnx.serve import errors
from e5_onnx.serve.wire import (
    EmbeddingsAnswer,
    EmbeddingsRequest,
    EmbedRequest,
    ErrorAnswer,
    Token,
    TokenizeRequest,
)

_TEMPLATE: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class _Route:
    path: str
    method: str
    summary: str
    answer: Any
    body: Any = None


_ROUTES: Final = (
    _Route("/v1/embeddings", "post", "Embeds texts (OpenAI)", EmbeddingsAnswer, EmbeddingsRequest),
    _Route("/v1/models", "get", "Names of the model (OpenAI)", dict[str, Any]),
    _Route("/embed", "post", "Embeds texts (text-embeddings-inference)", list[list[float]], EmbedRequest),
    _Route("/tokenize", "post", "Token ids of texts", list[list[Token]], TokenizeRequest),
    _Route("/info", "get", "What is served", dict[str, Any]),
    _Route("/health", "get", "Whether the process lives", dict[str, str]),
    _Route("/ready", "get", "Whether work would be taken", dict[str, str]),
)


def document(name: str) -> dict[str, Any]:
    """The document of a server whose model has this name."""
    kinds = [kind for route in _ROUTES for kind in (route.answer, route.body) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, ErrorAnswer], ref_template=_TEMPLATE)
    found = dict(zip(map(repr, kinds), schemas, strict=False))
    paths: dict[str, Any] = {}
    for route in _ROUTES:
        operation: dict[str, Any] = {
            "summary": route.summary,
            "responses": _responses(found[repr(route.answer)]),
        }
        if route.body is not None:
            schema = found[repr(route.body)]
            operation["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
        paths[route.path] = {route.method: operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Embeddings of {name}", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _responses(answer: dict[str, Any]) -> dict[str, Any]:
    error = {"schema": {"$ref": _TEMPLATE.format(name="ErrorAnswer")}}
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in found if issubclass(kind, errors.RequestError)]
    by_status: dict[int, list[str]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind.code)
    return {
        "200": {"description": "done", "content": {_JSON: {"schema": answer}}},
        **{
            str(status): {"description": ", ".join(sorted(codes)), "content": {_JSON: error}}
            for status, codes in sorted(by_status.items())
        },
    }
