"""Bodies in and out: read within limits, decoded by schema, encoded, and errors in one shape."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from e5_onnx.serve.errors import MalformedError, RequestError, SlowBodyError, TooLargeError
from e5_onnx.serve.settings import Limits
from e5_onnx.serve.wire import ErrorAnswer, ErrorBody

T = TypeVar("T")

_JSON = "application/json"


async def read_body(request: Request, limits: Limits) -> bytes:
    """Reads a body that is neither too large nor too slow.

    Raises:
        TooLargeError: As soon as it is known.
        SlowBodyError: If it takes too long.
        MalformedError: If the client went away in the middle of it.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise TooLargeError("bytes", int(declared), limits.body_bytes)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise TooLargeError("bytes", None, limits.body_bytes)
                parts.append(part)
    except TimeoutError:
        raise SlowBodyError(limits.body_s) from None
    except ClientDisconnect:
        raise MalformedError("the body ended early") from None
    return b"".join(parts)


async def decode(request: Request, kind: type[T], limits: Limits) -> T:
    """Reads a body as JSON of a schema.

    Raises:
        MalformedError: If it is not that; what was found is not repeated.
        RequestError: As `read_body`.
    """
    body = await read_body(request, limits)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise MalformedError(f"the body does not fit the schema: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedError("the body is not JSON in UTF-8") from None


def check_items(texts: str | list[Any], limits: Limits) -> list[Any]:
    """Returns a list of items, of which there are not too many.

    Raises:
        TooLargeError: If there are.
    """
    listed = [texts] if isinstance(texts, str) else texts
    if len(listed) > limits.items:
        raise TooLargeError("items", len(listed), limits.items)
    return listed


def answer(values: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(values), media_type=_JSON, headers=headers)


def error_answer(error: RequestError) -> Response:
    """An error in OpenAI's shape."""
    body = ErrorBody(message=error.message, type=error.kind, param=error.param, code=error.code)
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:  # noqa: PLR2004 - RFC 9110 wants the header with it
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        msgspec.json.encode(ErrorAnswer(error=body)), error.status, headers=headers, media_type=_JSON
    )
