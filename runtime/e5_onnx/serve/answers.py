"""Answers: values in JSON, and errors in one shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.responses import Response

from e5_onnx.serve.errors import RequestError
from e5_onnx.serve.wire import ErrorAnswer, ErrorBody

FINGERPRINT_HEADER: Final = "X-E5-Fingerprint"
TRUNCATED_HEADER: Final = "X-E5-Truncated"

_JSON: Final = "application/json"


def answer(values: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(values), media_type=_JSON, headers=headers)


def error_answer(error: RequestError) -> Response:
    """An error in OpenAI's shape."""
    body = ErrorBody(message=error.message, type=error.kind, param=error.param, code=error.code)
    return Response(
        msgspec.json.encode(ErrorAnswer(error=body)), error.status, headers=error.headers, media_type=_JSON
    )
