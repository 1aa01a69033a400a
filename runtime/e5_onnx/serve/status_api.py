"""`/health`, `/ready` and `/metrics`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from e5_onnx.serve.answers import answer
from e5_onnx.serve.errors import NotOfferedError
from e5_onnx.serve.metrics import CONTENT_TYPE
from e5_onnx.serve.state import State


async def health(_request: Request, _state: State) -> Response:
    """Whether the process lives."""
    return answer({"status": "ok"})


async def ready(_request: Request, state: State) -> Response:
    """Whether work would be taken."""
    state.check_may_work()
    return answer({"status": "ready"})


async def metrics(_request: Request, state: State) -> Response:
    """Counters, to whoever has a key."""
    if not state.settings.keys:
        raise NotOfferedError("metrics are given with a key only: set one, or use `metrics_address`")
    return Response(state.metrics.text(), media_type=CONTENT_TYPE)
