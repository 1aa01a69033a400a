"""The body of a request, read within limits."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from e5_onnx.serve.errors import (
    ClientGoneError,
    FramingError,
    SlowBodyError,
    TooLargeError,
    UnsupportedBodyError,
)
from e5_onnx.serve.held import Share
from e5_onnx.serve.settings import Limits

# What is still thrown away of a body that nobody reads.
_REST_S: Final = 1.0
_REST_BODIES: Final = 8
_NOT_COMPRESSED: Final = {"", "identity"}


async def read_body(request: Request, limits: Limits, share: Share) -> bytes:
    """Reads a body that is neither compressed, too large nor too slow.

    Raises:
        UnsupportedBodyError: If it is compressed.
        TooLargeError: As soon as it is known.
        QueueFullError: If requests hold too much.
        SlowBodyError: If it takes too long.
        ClientGoneError: If the client went away in the middle of it.
    """
    if request.headers.get("content-encoding", "").strip().lower() not in _NOT_COMPRESSED:
        raise UnsupportedBodyError("compressed (Content-Encoding)", "send it as it is")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > limits.body_bytes:
        raise TooLargeError("bytes", int(declared), limits.body_bytes)
    share.check(int(declared) if declared.isdecimal() else 1)
    parts, size = [], 0
    share.wait()
    try:
        async with asyncio.timeout(limits.body_timeout):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise TooLargeError("bytes", None, limits.body_bytes)
                share.add(len(part))
                share.wait()
                parts.append(part)
    except TimeoutError:
        raise SlowBodyError(limits.body_timeout) from None
    except ClientDisconnect:
        raise ClientGoneError from None
    finally:
        share.work()
    return b"".join(parts)


def check_framing(request: Request) -> None:
    """Refuses a request whose end two readers could see in two places (RFC 9112, 6.1: smuggling).

    Raises:
        FramingError: If it has a Content-Length and a Transfer-Encoding.
    """
    if "content-length" in request.headers and "transfer-encoding" in request.headers:
        raise FramingError


def check_items(texts: str | list[str], limits: Limits) -> list[Any]:
    """Returns a list of items, of which there are not too many.

    Raises:
        TooLargeError: If there are.
    """
    listed = [texts] if isinstance(texts, str) else texts
    if len(listed) > limits.max_items:
        raise TooLargeError("items", len(listed), limits.max_items)
    return listed


class Reading:
    """A request's channel, which knows whether the body has been read to its end."""

    def __init__(self, request: Scope, receive: Receive) -> None:
        """Takes the request and its channel."""
        headers = Headers(scope=request)
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self._receive, self._is_read = receive, not has_body
        # To wait for a body would be to ask for it.
        self._waits_to_be_asked = headers.get("expect", "").lower() == "100-continue"

    async def __call__(self) -> Message:
        """Receives the next message."""
        self._waits_to_be_asked = False
        message = await self._receive()
        self._is_read = self._is_read or not message.get("more_body", False)
        return message

    async def rest(self, limits: Limits) -> bool:
        """Throws away what is left of a body, so that a client that still sends it can read the answer.

        Returns:
            Whether it came to its end in time. If not, the connection has to be closed.
        """
        if self._waits_to_be_asked:
            return self._is_read
        size = 0
        try:
            async with asyncio.timeout(_REST_S):
                while not self._is_read and size <= _REST_BODIES * limits.body_bytes:
                    size += len((await self()).get("body", b""))
        except TimeoutError:
            pass
        return self._is_read
