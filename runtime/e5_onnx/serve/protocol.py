"""HTTP/1.1 with limits that uvicorn leaves to a proxy: slow headers and too many connections."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from e5_onnx.serve.settings import Limits


class LimitedProtocol(H11Protocol):
    """A connection that is closed if a request's headers do not arrive in time, or if there are too many."""

    limits: ClassVar[Limits] = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepts a connection, or closes it at once."""
        self._patience: asyncio.TimerHandle | None = None
        # asyncio sets it on sockets that know their protocol, which those of socket.create_server do not.
        # Without it an answer, being two writes, waits 40 ms until the client acknowledges the first.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
            )
            transport.close()
        else:
            self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        """Takes bytes; while they are not a whole set of headers, the clock goes on."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self.conn.trailing_data[0] and self._patience is None:
            self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the clock."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        self._patience = self.loop.call_later(self.limits.header_timeout, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def limited_protocol(limits: Limits) -> type[Any]:
    """The protocol with a server's limits."""
    return type("ServedProtocol", (LimitedProtocol,), {"limits": limits})
