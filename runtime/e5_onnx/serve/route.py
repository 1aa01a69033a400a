"""A route: paths, the handler of their requests, and a description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import Response

# For probes, whatever name they come by; for a browser that has no key; or for holders of a key.
Access = Literal["probe", "browser", "key"]


@dataclass(frozen=True, slots=True)
class Route:
    """A method at some paths.

    Attributes:
        method: GET or POST; HEAD goes with GET.
        paths: The path, and others that mean the same. `{model}` stands for a name.
        act: The handler: takes the request, the server, and the body where there is one.
        summary: A sentence for the OpenAPI document.
        answer: The type of its JSON, or the media type of what is none.
        body: The struct that its body is decoded to, or None if it takes none.
        access: Who may call it.
    """

    method: Literal["GET", "POST"]
    paths: tuple[str, ...]
    act: Callable[..., Awaitable[Response]]
    summary: str
    answer: Any
    body: type[Any] | None = None
    access: Access = "key"
