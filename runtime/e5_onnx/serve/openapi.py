"""The OpenAPI document, made from the table of routes and the structs that decode requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from e5_onnx import __version__
from e5_onnx.serve import errors
from e5_onnx.serve.route import Route
from e5_onnx.serve.wire import ErrorAnswer

_TEMPLATE: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"


def document(name: str, routes: Sequence[Route]) -> dict[str, Any]:
    """The document of a server.

    Args:
        name: The model's name.
        routes: Every route.
    """
    types = [kind for route in routes for kind in (route.answer, route.body) if _is_json(kind)]
    schemas, components = msgspec.json.schema_components([*types, ErrorAnswer], ref_template=_TEMPLATE)
    in_order = iter(schemas)
    paths: dict[str, Any] = {}
    for route in routes:
        answer, body = (_content(kind, in_order) for kind in (route.answer, route.body))
        for path in route.paths:
            operation = {**_operation(route, answer), **_request(path, body)}
            paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Embeddings of {name}", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _is_json(kind: object) -> bool:
    """Returns whether it is a type to describe as JSON, and not a media type."""
    return kind is not None and not isinstance(kind, str)


def _content(kind: object, schemas: Iterator[dict[str, Any]]) -> dict[str, Any]:
    if _is_json(kind):
        return {_JSON: {"schema": next(schemas)}}
    return {} if kind is None else {str(kind): {}}


def _operation(route: Route, answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": route.summary,
        "responses": {"200": {"description": "done", "content": answer}, **_errors()},
        "security": [{"key": []}] if route.access == "key" else [],
    }


def _request(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters and the body of an operation."""
    found: dict[str, Any] = {"requestBody": {"required": True, "content": body}} if body else {}
    if "{model}" in path:
        found["parameters"] = [
            {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
        ]
    return found


def _errors() -> dict[str, Any]:
    error = {"schema": {"$ref": _TEMPLATE.format(name="ErrorAnswer")}}
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    by_status: dict[int, list[str]] = {}
    for kind in found:
        if issubclass(kind, errors.RequestError):
            by_status.setdefault(kind.status, []).append(kind.code)
    return {
        str(status): {"description": ", ".join(sorted(codes)), "content": {_JSON: error}}
        for status, codes in sorted(by_status.items())
    }
