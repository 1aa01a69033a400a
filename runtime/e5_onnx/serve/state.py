"""What the routes share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from e5_onnx.serve.errors import MemoryLimitError, StoppingError
from e5_onnx.serve.memory import resident_mb
from e5_onnx.serve.metrics import Metrics
from e5_onnx.serve.model import Done, ServedModel, Work
from e5_onnx.serve.roles import RoleChoice
from e5_onnx.serve.settings import Settings


@dataclass(slots=True)
class State:
    """A running server.

    Attributes:
        settings: How it is run.
        model: The loaded model.
        metrics: What is counted.
        stopping: Whether it was told to stop.
    """

    settings: Settings
    model: ServedModel
    metrics: Metrics
    stopping: bool = False

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
        if limit is not None and (held := resident_mb() or 0.0) > limit:
            raise MemoryLimitError(held, limit)

    async def embed(self, request: Request, work: Work) -> Done:
        """Embeds for a client that may go away, in which case its texts leave the queue.

        Raises:
            RequestError: A leaf of it says why not.
        """
        self.check_may_work()
        embedding = asyncio.ensure_future(self.model.embed(work))
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({embedding, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not embedding.done():
                self.metrics.cancelled.inc()
                embedding.cancel()
            done = await embedding
        finally:
            gone.cancel()
            embedding.cancel()
        self.metrics.count(len(work.texts), done.used_tokens, done.truncated)
        return done


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection: once a body is read, nothing else can come."""
    await request.receive()
