"""Answers: values in JSON, and errors in one shape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Raw
from starlette.responses import Response
from starlette.types import Send

from e5_onnx.serve.errors import RequestError
from e5_onnx.serve.held import Share
from e5_onnx.serve.wire import ErrorAnswer, ErrorBody

FINGERPRINT_HEADER: Final = "X-E5-Fingerprint"
TRUNCATED_HEADER: Final = "X-E5-Truncated"

_JSON: Final = "application/json"
# What a client has to read in a part of the time to send.
_PART: Final = 262_144
# Values that take no time worth a thread.
_FEW: Final = 8192


def answer(values: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(values), media_type=_JSON, headers=headers)


async def encode_each(values: Iterable[object], *, size: int) -> list[Raw]:
    """JSON of each of many values, in a thread and one by one: a call holds Python's lock until it ends.

    Args:
        values: Values to encode; an iterator is read one by one, too.
        size: Numbers in all of them. A few are encoded at once.
    """

    def encode() -> list[Raw]:
        return [Raw(msgspec.json.encode(value)) for value in values]

    return encode() if size <= _FEW else await asyncio.to_thread(encode)


def error_answer(error: RequestError) -> Response:
    """An error in OpenAI's shape."""
    body = ErrorBody(message=error.message, type=error.kind, param=error.param, code=error.code)
    return Response(
        msgspec.json.encode(ErrorAnswer(error=body)), error.status, headers=error.headers, media_type=_JSON
    )


async def send_in_parts(response: Response, send: Send, share: Share) -> None:
    """Sends an answer part by part, as the client reads it."""
    body = memoryview(response.body)
    share.wait()
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    for end in range(_PART, len(body) + _PART, _PART) or (0,):
        part = bytes(body[end - _PART : end]) if end else b""
        share.wait()
        await send({"type": "http.response.body", "body": part, "more_body": end < len(body)})
