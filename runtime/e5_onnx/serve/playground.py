"""The page at `/`: four files of this package, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from e5_onnx.serve.state import State


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page.

    Attributes:
        name: Its name in the package.
        kind: Its media type.
    """

    name: str
    kind: str

    async def send(self, _request: Request, _state: State) -> Response:
        """The file."""
        return Response(_content(self.name), media_type=self.kind)


FILES: Final[dict[str, PageFile]] = {
    "/": PageFile("index.html", "text/html; charset=utf-8"),
    "/playground.js": PageFile("playground.js", "text/javascript; charset=utf-8"),
    "/playground.css": PageFile("playground.css", "text/css; charset=utf-8"),
    "/icon.svg": PageFile("icon.svg", "image/svg+xml"),
}


@cache
def _content(name: str) -> bytes:
    return files("e5_onnx.serve").joinpath("page", name).read_bytes()
