"""New connections: accepted one at a time, and only where there is a place for one.

asyncio's own server accepts a whole backlog before it reads a byte of it, so that a burst of connections
would end those of its own beginning, their requests unread. Here a connection that is too many waits in the
system's queue, where nothing is lost, until another ends or may be ended.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any, Final

from e5_onnx.serve.protocol import SPARE, LimitedProtocol

_LOG: Final = logging.getLogger("e5_onnx.serve")

# A client has this long before it can be ended for another. It is also what limits a flood: so many seconds
# for as many connections as there are places.
LEAST_WAIT_S: Final = 0.25
_LOOK_AGAIN_S: Final = 0.02
# Where the system is out of something. It is logged once in so many seconds.
_RETRY_S: Final = 1.0
_QUIET_S: Final = 60.0


class Listener:
    """Accepts the connections of a socket, as long as it is not closed."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        connections: Collection[Any],
        *,
        places: int,
    ) -> None:
        """Begins to accept.

        Args:
            listening: A socket that listens and does not block.
            make: Makes a connection's protocol, a `LimitedProtocol`.
            connections: The open connections.
            places: Connections beyond which one is ended for another.
        """
        self._listening, self._make, self._connections, self._places = listening, make, connections, places
        self._loop = asyncio.get_running_loop()
        self._logged_at = -_QUIET_S
        self._accepting = self._loop.create_task(self._accept_all())

    async def close(self) -> None:
        """Accepts no more connections; accepted ones continue."""
        self._accepting.cancel()
        await asyncio.wait({self._accepting})

    async def _accept_all(self) -> None:
        while True:
            try:
                await self._accept()
            except ConnectionError:
                continue  # its client is gone
            except OSError as error:
                self._log_once(error)
                await asyncio.sleep(_RETRY_S)

    async def _accept(self) -> None:
        with ExitStack() as unused:
            accepted = unused.enter_context((await self._loop.sock_accept(self._listening))[0])
            await self._wait_for_place()
            unused.pop_all()
            await self._loop.connect_accepted_socket(self._make, accepted)

    async def _wait_for_place(self) -> None:
        """Waits until there is a place, or one of the spare ones where all are at work."""
        while not await self._has_place():
            waited_for = [one for one in self._connections if one.is_waited_for]
            if not waited_for and len(self._connections) < self._places + SPARE:
                return
            await self._end_one(waited_for)

    async def _has_place(self) -> bool:
        # In two passes of the event loop what has come is read, and what has ended is counted no more.
        for _ in range(2):
            if len(self._connections) >= self._places:
                await asyncio.sleep(0)
        return len(self._connections) < self._places

    async def _end_one(self, waited_for: list[LimitedProtocol]) -> None:
        """Ends the connection whose client has been waited for the longest, if that is long enough."""
        longest = min(waited_for, key=lambda one: one.since, default=None)
        if longest is not None and self._loop.time() - longest.since >= LEAST_WAIT_S:
            longest.transport.abort()
        else:
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _log_once(self, error: OSError) -> None:
        now = self._loop.time()
        if now - self._logged_at >= _QUIET_S:
            self._logged_at = now
            _LOG.error("new connections wait: the system has no room", extra={"errno": error.errno})
