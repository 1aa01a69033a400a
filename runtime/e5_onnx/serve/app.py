"""Routes, and what every request passes on its way in and out."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from e5_onnx.serve import openai_api, playground, status_api, tei_api
from e5_onnx.serve.errors import (
    HostRefusedError,
    InternalError,
    KeyRefusedError,
    MethodError,
    RequestError,
    UnknownPathError,
)
from e5_onnx.serve.http import error_answer
from e5_onnx.serve.keys import is_valid
from e5_onnx.serve.metrics import CONTENT_TYPE, Metrics
from e5_onnx.serve.settings import LOOPBACK_NAMES, Settings
from e5_onnx.serve.state import State

Handler = Callable[[Request, State], Awaitable[Response]]

_LOG: Final = logging.getLogger("e5_onnx.serve")


@dataclass(frozen=True, slots=True)
class Route:
    """A path.

    Attributes:
        method: GET or POST; HEAD goes with GET.
        handler: What answers.
        needs_key: Whether it is for holders of a key only.
    """

    method: str
    handler: Handler
    needs_key: bool = True


ROUTES: Final[dict[str, Route]] = {
    "/v1/embeddings": Route("POST", openai_api.embeddings),
    "/v1/models": Route("GET", openai_api.models),
    "/embed": Route("POST", tei_api.embed),
    "/tokenize": Route("POST", tei_api.tokenize),
    "/info": Route("GET", tei_api.info),
    "/metrics": Route("GET", status_api.metrics),
    "/health": Route("GET", status_api.health, needs_key=False),
    "/ready": Route("GET", status_api.ready, needs_key=False),
    "/openapi.json": Route("GET", status_api.openapi, needs_key=False),
    **{path: Route("GET", playground.page, needs_key=False) for path in playground.FILES},
}

_METHODS: Final = {"GET": ("GET", "HEAD"), "POST": ("POST",)}
_SECURITY_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_app(state: State) -> ASGIApp:
    """The ASGI application of a server."""
    allowed = allowed_hosts(state.settings)

    async def respond(request: Request) -> Response:
        if _host(request) not in allowed:
            raise HostRefusedError
        route = ROUTES.get(request.url.path)
        if route is None:
            raise UnknownPathError
        if route.needs_key and state.settings.keys and not is_valid(_key(request), state.settings.keys):
            raise KeyRefusedError
        if request.method not in _METHODS[route.method]:
            raise MethodError
        return await route.handler(request, state)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        response = await _answered(respond, Request(scope, receive))
        _record(state, scope["path"], status=response.status_code, seconds=time.perf_counter() - started)
        await response(scope, receive, _with_security_headers(send))

    return app


def make_metrics_app(metrics: Metrics) -> ASGIApp:
    """The application behind `--metrics-address`, which the operator keeps clients away from."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] == "http" and scope["path"] == "/metrics"
        response = (
            Response(metrics.text(), media_type=CONTENT_TYPE) if known else error_answer(UnknownPathError())
        )
        await response(scope, receive, send)

    return app


def allowed_hosts(settings: Settings) -> set[str]:
    """Names that a Host header may have, without their port.

    A page that a browser was led to under another name of this address (DNS rebinding) has another one.
    """
    own = () if settings.host in ("0.0.0.0", "::") else (settings.host,)  # noqa: S104 - compared, not bound
    return {name.strip("[]").lower() for name in (*LOOPBACK_NAMES, *own, *settings.allowed_hosts)}


async def _answered(respond: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await respond(request)
    except RequestError as error:
        return error_answer(error)
    except Exception as error:
        _LOG.exception("a request failed", exc_info=error)
        return error_answer(InternalError())


def _host(request: Request) -> str:
    host = request.headers.get("host", "")
    # A port, unless the colon is an IPv6 address's.
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).strip("[]").lower()


def _key(request: Request) -> bytes | None:
    given = request.headers.get("authorization")
    return None if given is None else given.encode("latin-1")


def _with_security_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY_HEADERS.items():
                headers[name] = value
        await send(message)

    return sending


def _record(state: State, path: str, *, status: int, seconds: float) -> None:
    """Counts and logs a request. A path that is none of ours could be anything, a text for instance."""
    route = path if path in ROUTES else "other"
    state.metrics.requests.labels(route, str(status)).inc()
    state.metrics.seconds.labels(route).observe(seconds)
    _LOG.info("request", extra={"route": route, "status": status, "ms": round(1000 * seconds, 1)})
