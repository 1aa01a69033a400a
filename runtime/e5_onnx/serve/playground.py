"""The page at `/`: three files of this package, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from e5_onnx.serve.state import State


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    kind: str


FILES: Final[dict[str, _File]] = {
    "/": _File("index.html", "text/html; charset=utf-8"),
    "/playground.js": _File("playground.js", "text/javascript; charset=utf-8"),
    "/playground.css": _File("playground.css", "text/css; charset=utf-8"),
    "/icon.svg": _File("icon.svg", "image/svg+xml"),
}


async def page(request: Request, _state: State) -> Response:
    """One of the files."""
    file = FILES[request.url.path]
    return Response(_content(file.name), media_type=file.kind)


@cache
def _content(name: str) -> bytes:
    return files("e5_onnx.serve").joinpath("page", name).read_bytes()
