"""What the routes share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from starlette.requests import Request

from e5_onnx.serve.errors import ClientGoneError, DeadlineError, MemoryLimitError, StoppingError
from e5_onnx.serve.held import HeldBytes, Share
from e5_onnx.serve.memory import settled_mb
from e5_onnx.serve.metrics import Metrics
from e5_onnx.serve.model import Done, ServedModel
from e5_onnx.serve.roles import RoleChoice
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.tokens import Wish

T = TypeVar("T")

# A component of a vector in JSON, at most: a sign, 17 digits, a point, an exponent, a comma.
_NUMBER_BYTES: Final = 24


@dataclass(slots=True)
class State:
    """A running server.

    Attributes:
        settings: How it is run.
        model: The loaded model.
        metrics: The metrics of the server.
        stopping: True once the server was asked to stop.
        held: The bodies and responses of all requests.
    """

    settings: Settings
    model: ServedModel
    metrics: Metrics
    stopping: bool = False
    held: HeldBytes = field(init=False)

    def __post_init__(self) -> None:
        self.held = HeldBytes(self.settings.limits.queue_bytes)

    @property
    def roles(self) -> RoleChoice:
        """How requests are understood."""
        return RoleChoice(self.settings, self.model.manifest.recipe)

    def check_may_work(self) -> None:
        """Refuses work while stopping or beyond the memory limit.

        Raises:
            StoppingError: While stopping.
            MemoryLimitError: While too much is held.
        """
        if self.stopping:
            raise StoppingError
        limit = self.settings.limits.max_memory_mb
        if limit is not None and (held := settled_mb(limit)) > limit:
            raise MemoryLimitError(held, limit)

    async def embed(self, request: Request, wish: Wish) -> Done:
        """Embeds for a client that may go away, in which case its texts leave the queue.

        Raises:
            RequestError: A leaf of it says why not.
        """
        share_of(request).add(len(wish.texts) * self.model.manifest.dimension * _NUMBER_BYTES)
        done = await self.work(request, self.model.embed(wish))
        self.metrics.count(len(wish.texts), done.used_tokens, done.truncated)
        self.metrics.cached.inc(done.cached)
        return done

    async def work(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """Works for a client, as long as it is there and the time of a request has not passed.

        Raises:
            RequestError: A leaf of it says why not.
        """
        working = asyncio.ensure_future(work)
        gone = asyncio.ensure_future(_gone(request))
        seconds = self.settings.limits.request_timeout
        try:
            await asyncio.wait({working, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            if not gone.done():
                raise DeadlineError(seconds)
            self.metrics.cancelled.inc()
            raise ClientGoneError
        finally:
            gone.cancel()
            working.cancel()


def share_of(request: Request) -> Share:
    """The share of a request."""
    share: Share = request.state.share
    return share


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection: once a body is read, nothing else can come."""
    await request.receive()
