"""HTTP/1.1 connections with a clock in every state.

uvicorn leaves slow and idle clients to a proxy. Here no number of them keeps others out: each state that a
connection can be in ends some time, and where all places are taken, the client that has been waited for the
longest has to go (`accepting`).
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, ClassVar, Final, Literal

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from e5_onnx.serve.answers import error_answer
from e5_onnx.serve.errors import BusyError
from e5_onnx.serve.routes import PROBES, find_path
from e5_onnx.serve.settings import Limits

KEEP_ALIVE_S: Final = 75
# Connections beyond the limit, for probes: a server that works is not to be taken for a dead one.
SPARE: Final = 8
# What the application ends itself, with an answer, is cut off later only if it did not.
_GRACE_S: Final = 5.0

Phase = Literal["headers", "body", "work", "unread", "idle", "closing"]
# In these it is the client's turn.
_CLIENTS_TURN: Final = {"headers", "body", "unread", "idle", "closing"}


class LimitedProtocol(H11Protocol):
    """A connection.

    Attributes:
        limits: The limits of the server.
        since: When the phase began, by the event loop's clock.
        phase: The event that is awaited: a request's headers, its body, the application, a slow client's
            read of its response, the next request, or the end.
    """

    limits: ClassVar[Limits] = Limits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins with a request's headers. One connection too many answers probes only."""
        self._clock: asyncio.TimerHandle | None = None
        # asyncio sets it on sockets that know their protocol, which those of socket.create_server do not.
        # Without it an answer, being two writes, waits 40 ms until the client acknowledges the first.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {"end": transport.abort}
        super().connection_made(transport)
        self._begin("headers")
        if len(self.connections) > self.limits.connections:
            self.app = _probes_only(self.app)

    def data_received(self, data: bytes) -> None:
        """Takes bytes. As long as they are not the whole headers of a request, the clock goes on."""
        super().data_received(data)
        self._enter("headers" if self.conn.their_state is h11.IDLE else self._phase_now())

    def on_response_complete(self) -> None:
        """Waits for the next request, or for the client to read this answer."""
        super().on_response_complete()
        self._begin(self._phase_now())

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._enter("unread")

    def resume_writing(self) -> None:
        """It has read enough for more to be sent."""
        super().resume_writing()
        self._enter(self._phase_now())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _phase_now(self) -> Phase:
        if self.transport.is_closing():
            return "closing"
        if self.flow.write_paused:
            return "unread"
        if self.conn.their_state is h11.IDLE:
            return "headers" if self.conn.trailing_data[0] else "idle"
        return "body" if self.conn.their_state is h11.SEND_BODY else "work"

    def _enter(self, phase: Phase) -> None:
        """Begins a phase; nothing is begun again by what changes none."""
        if self.transport.is_closing():
            phase = "closing"
        if phase != self.phase:
            self._begin(phase)

    def _begin(self, phase: Phase) -> None:
        self.phase, self.since = phase, self.loop.time()
        self._stop_clock()
        limits = self.limits
        seconds: dict[Phase, float] = {
            "headers": limits.header_timeout,
            "body": limits.body_timeout + _GRACE_S,
            "work": limits.request_timeout + _GRACE_S,
            "unread": limits.send_timeout,
            "idle": KEEP_ALIVE_S + _GRACE_S,
            "closing": limits.send_timeout,
        }
        # What has not been sent by then is thrown away: to close in order is to wait for the client again.
        self._clock = self.loop.call_later(seconds[phase], self.transport.abort)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    @property
    def is_waited_for(self) -> bool:
        """Returns whether the server waits for the client."""
        return self.phase in _CLIENTS_TURN


def _probes_only(app: ASGIApp) -> ASGIApp:
    async def probe(scope: Scope, receive: Receive, send: Send) -> None:
        if find_path(scope["path"]) in PROBES:
            await app(scope, receive, send)
        else:
            await error_answer(BusyError())(scope, receive, send)

    return probe


def limited_protocol(limits: Limits) -> type[Any]:
    """The protocol with a server's limits."""
    return type("ServedProtocol", (LimitedProtocol,), {"limits": limits})
