"""What every request passes on its way in and out."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from e5_onnx.serve.answers import error_answer, send_in_parts
from e5_onnx.serve.bodies import Reading, check_framing, read_body
from e5_onnx.serve.decoding import decode
from e5_onnx.serve.errors import (
    HostRefusedError,
    InternalError,
    KeyRefusedError,
    RequestError,
    TooManyKeysError,
    UnknownPathError,
)
from e5_onnx.serve.hosts import allowed_names, is_allowed
from e5_onnx.serve.keys import is_valid
from e5_onnx.serve.metrics import CONTENT_TYPE, Metrics
from e5_onnx.serve.routes import PROBES, find_path, find_route
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.state import State, share_of
from e5_onnx.serve.throttle import Throttle

_LOG: Final = logging.getLogger("e5_onnx.serve")

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
    settings = state.settings
    names = allowed_names(settings.host, settings.allowed_hosts, keyed=bool(settings.keys))
    throttle = Throttle(time.monotonic)

    async def respond(request: Request) -> Response:
        check_framing(request)
        path = request.scope["path"]
        # A probe comes by the address of a pod, or without any name; it learns nothing.
        if not is_allowed(request.headers.get("host", ""), names) and find_path(path) not in PROBES:
            raise HostRefusedError
        route = find_route(path, request.method)
        if route.access == "key" and settings.keys and not is_valid(_key(request), settings.keys):
            raise TooManyKeysError if await throttle.wrong_key(_address(request)) else KeyRefusedError
        if route.body is None:
            return await route.act(request, state)
        state.check_may_work()
        body = await read_body(request, settings.limits, share_of(request))
        return await route.act(request, state, decode(body, route.body, _charset(request)))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        reading = Reading(scope, receive)
        request = Request(scope, reading)
        with state.held.share(getattr(request.state, "end", _nothing)) as share:
            request.state.share = share
            response = await _answered(respond, request)
            share.size = len(response.body)
            if not await reading.rest(settings.limits):
                response.headers["Connection"] = "close"
            seconds = time.perf_counter() - started
            _record(state, scope["path"], status=response.status_code, seconds=seconds)
            await send_in_parts(response, _with_security_headers(send), share)

    return app


def make_metrics_app(settings: Settings, metrics: Metrics) -> ASGIApp:
    """The application behind `--metrics-address`, which the operator keeps clients away from."""
    names = allowed_names(
        settings.metrics[0] if settings.metrics else "", settings.allowed_hosts, keyed=False
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response: Response
        if not is_allowed(request.headers.get("host", ""), names):
            response = error_answer(HostRefusedError())
        elif scope["path"] == "/metrics":
            response = Response(metrics.text(), media_type=CONTENT_TYPE)
        else:
            response = error_answer(UnknownPathError("GET /metrics is all there is at this address"))
        await response(scope, receive, send)

    return app


async def _answered(respond: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
    try:
        return await respond(request)
    except RequestError as error:
        return error_answer(error)
    except Exception as error:
        _LOG.exception("a request failed", exc_info=error)
        return error_answer(InternalError())


def _nothing() -> None:
    """Ends the connection of an application without one."""


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _key(request: Request) -> bytes | None:
    given = request.headers.get("authorization")
    return None if given is None else given.encode("latin-1")


def _charset(request: Request) -> str | None:
    found = re.search(r"charset=([^;]+)", request.headers.get("content-type", ""), re.IGNORECASE)
    return None if found is None else found[1]


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
    found = find_path(path)
    route = "other" if found is None else found
    state.metrics.requests.labels(route, str(status)).inc()
    state.metrics.seconds.labels(route).observe(seconds)
    _LOG.info("request", extra={"route": route, "status": status, "ms": round(1000 * seconds, 1)})
