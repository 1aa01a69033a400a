"""Bytes that requests hold together: their bodies, and responses that are not sent yet.

A client that sends much and reads slowly holds little for itself, and many of them hold all memory. What all
of them hold has one limit. Where it is reached, a client that the server waits for is ended first, so that
slow ones keep nobody out; what does not fit then is refused before its body is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from e5_onnx.serve.errors import QueueFullError

# A client that is waited for longer than this can be ended for another's bytes.
PATIENCE_S = 1.0


@dataclass(eq=False, slots=True)
class Share:
    """The share of one request.

    Attributes:
        held: The shares of all requests together.
        end: Ends the request's connection.
        size: Bytes of this request's body and response.
        waits_since: Time at which the server began to wait for the client, by the event loop's clock; None
            while it does not wait.
    """

    held: HeldBytes
    end: Callable[[], None]
    size: int = 0
    waits_since: float | None = None

    def check(self, more: int) -> None:
        """Makes room for `more` bytes, and holds none of them yet.

        Raises:
            QueueFullError: If there is none.
        """
        while not self.held.fits(self, more):
            if not self.held.end_slowest(self):
                raise QueueFullError(self.held.size, self.held.limit)

    def add(self, more: int) -> None:
        """Holds `more` bytes.

        Raises:
            QueueFullError: If there is no room.
        """
        self.check(more)
        self.size += more

    def wait(self) -> None:
        """The server waits for the client from now on."""
        self.waits_since = asyncio.get_running_loop().time()

    def work(self) -> None:
        """The server no longer waits for the client."""
        self.waits_since = None


class HeldBytes:
    """The shares of all requests of a process. For one event loop."""

    def __init__(self, limit: int) -> None:
        """Sets the limit in bytes. A request that is alone may hold more."""
        self.limit = limit
        self._shares: set[Share] = set()

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return sum(share.size for share in self._shares)

    @contextmanager
    def share(self, end: Callable[[], None]) -> Iterator[Share]:
        """A request's share, until its response is sent.

        Args:
            end: Ends the request's connection.
        """
        share = Share(self, end)
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.discard(share)

    def fits(self, share: Share, more: int) -> bool:
        """Whether a request may hold `more` bytes."""
        size = self.size
        return size == share.size or size + more <= self.limit

    def end_slowest(self, but: Share) -> bool:
        """Ends the client that has been waited for the longest; returns whether there was one."""
        latest = asyncio.get_running_loop().time() - PATIENCE_S
        slow = [
            (share.waits_since, share)
            for share in self._shares
            if share is not but and share.size and share.waits_since is not None
        ]
        since, slowest = min(slow, key=lambda found: found[0], default=(None, None))
        if slowest is None or since is None or since > latest:
            return False
        slowest.end()
        self._shares.discard(slowest)
        return True
