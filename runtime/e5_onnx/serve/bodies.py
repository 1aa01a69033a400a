"""The body of a request, read within limits."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from e5_onnx.serve.errors import (
    ClientGoneError,
    MalformedError,
    SlowBodyError,
    TooLargeError,
    UnsupportedBodyError,
)
from e5_onnx.serve.settings import Limits

_NOT_COMPRESSED: Final = {"", "identity"}


async def read_body(request: Request, limits: Limits) -> bytes:
    """Reads a body that is neither compressed, too large nor too slow.

    Raises:
        UnsupportedBodyError: If it is compressed.
        TooLargeError: As soon as it is known.
        SlowBodyError: If it takes too long.
        ClientGoneError: If the client went away in the middle of it.
    """
    if request.headers.get("content-encoding", "").strip().lower() not in _NOT_COMPRESSED:
        raise UnsupportedBodyError("compressed (Content-Encoding)", "send it as it is")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise TooLargeError("bytes", int(declared), limits.body_bytes)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_timeout):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise TooLargeError("bytes", None, limits.body_bytes)
                parts.append(part)
    except TimeoutError:
        raise SlowBodyError(limits.body_timeout) from None
    except ClientDisconnect:
        raise ClientGoneError from None
    return b"".join(parts)


def check_framing(request: Request) -> None:
    """Refuses a request whose end two readers could see in two places (RFC 9112, 6.1: smuggling).

    Raises:
        MalformedError: If it has a Content-Length and a Transfer-Encoding.
    """
    if "content-length" in request.headers and "transfer-encoding" in request.headers:
        raise MalformedError("it has both a Content-Length and a Transfer-Encoding: send one of them")


def check_items(texts: str | list[str], limits: Limits) -> list[Any]:
    """Returns a list of items, of which there are not too many.

    Raises:
        TooLargeError: If there are.
    """
    listed = [texts] if isinstance(texts, str) else texts
    if len(listed) > limits.max_items:
        raise TooLargeError("items", len(listed), limits.max_items)
    return listed
