"""Answers: values in JSON, and errors in one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response
from starlette.types import Send

from e5_onnx.serve.errors import RequestError
from e5_onnx.serve.wire import ErrorAnswer, ErrorBody

FINGERPRINT_HEADER: Final = "X-E5-Fingerprint"
TRUNCATED_HEADER: Final = "X-E5-Truncated"

_JSON: Final = "application/json"
# What a client has to read in a part of the time to send.
_PART: Final = 262_144


def answer(values: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(values), media_type=_JSON, headers=headers)


def error_answer(error: RequestError) -> Response:
    """An error in OpenAI's shape."""
    body = ErrorBody(message=error.message, type=error.kind, param=error.param, code=error.code)
    return Response(
        msgspec.json.encode(ErrorAnswer(error=body)), error.status, headers=error.headers, media_type=_JSON
    )


async def send_in_parts(response: Response, send: Send) -> None:
    """Sends an answer part by part, as the client reads it."""
    body = memoryview(response.body)
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    for end in range(_PART, len(body) + _PART, _PART) or (0,):
        part = bytes(body[end - _PART : end]) if end else b""
        await send({"type": "http.response.body", "body": part, "more_body": end < len(body)})
