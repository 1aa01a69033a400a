"""One serving process: load, listen, and stop in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp

from e5_onnx.serve.accepting import Listener
from e5_onnx.serve.app import make_app, make_metrics_app
from e5_onnx.serve.descriptors import room_for
from e5_onnx.serve.metrics import Metrics
from e5_onnx.serve.model import ServedModel
from e5_onnx.serve.protocol import KEEP_ALIVE_S, SPARE, limited_protocol
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.sockets import Sockets
from e5_onnx.serve.state import State

_LOG: Final = logging.getLogger("e5_onnx.serve")
_HEADER_BYTES: Final = 32_768
# SIGBREAK is what Ctrl+Break sends on Windows.
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, *([signal.SIGBREAK] if hasattr(signal, "SIGBREAK") else []))


class _Server(uvicorn.Server):
    """uvicorn's server, with our listener and without its signals.

    Its signals end the process with the signal's own exit code.
    """

    def __init__(self, config: uvicorn.Config, listening: socket.socket, places: int) -> None:
        super().__init__(config)
        self._listening, self._places = listening, places

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        make = partial(
            cast("Callable[..., Any]", self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state={},
        )
        self._listener = Listener(self._listening, make, self.server_state.connections, places=self._places)
        self.servers, self.started = [], True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._listener.close()
        self._listening.close()
        await super().shutdown(sockets)


class _Stopping:
    """The effect of signals: the first asks for a graceful shutdown, the second ends the wait."""

    def __init__(self) -> None:
        self.asked, self.asked_again = asyncio.Event(), asyncio.Event()

    def next(self) -> None:
        """Takes a signal."""
        (self.asked_again if self.asked.is_set() else self.asked).set()


async def serve(settings: Settings, sockets: Sockets, on_ready: Callable[[], None]) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was taken.

    Args:
        settings: How.
        sockets: The sockets to listen on.
        on_ready: Told once the model is loaded.

    Raises:
        FolderError: A leaf of it says what is wrong with the folder.
    """
    metrics = Metrics(lambda: model.waiting_tokens)
    model = ServedModel(settings, metrics.batch)
    places = room_for(settings.limits.connections, spare=SPARE)
    if places < settings.limits.connections:
        _LOG.warning("fewer connections: the system gives no more files", extra={"connections": places})
        settings = replace(settings, limits=replace(settings.limits, connections=places))
    state = State(settings, model, metrics)
    stopping = _Stopping()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_unexpected)
    servers = [_Server(_config(make_app(state), settings), sockets.api, places)]
    if sockets.metrics is not None:
        app = make_metrics_app(settings, metrics)
        servers.append(_Server(_config(app, settings), sockets.metrics, places))
    with _signals(stopping, loop):
        _LOG.info("serving", extra={**sockets.places, "models": settings.model_names})
        on_ready()
        watching = asyncio.ensure_future(_stop_in_order(stopping, state, servers))
        await asyncio.gather(*(server.serve() for server in servers))
        watching.cancel()
    model.close()
    _LOG.info("stopped")


@contextmanager
def _signals(stopping: _Stopping, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Turns signals to end into events, on Windows too, whose event loops have no add_signal_handler."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.next)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log_unexpected(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handles every other exception. asyncio's own message may repeat a text."""
    _LOG.error("unexpected error", exc_info=context.get("exception"))


async def _stop_in_order(stopping: _Stopping, state: State, servers: Sequence[uvicorn.Server]) -> None:
    await stopping.asked.wait()
    _LOG.info("stopping")
    # /ready says so first, while connections are still accepted: a balancer that looks has time to look.
    state.stopping = True
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.asked_again.wait(), state.settings.drain_delay)
    for server in servers:
        server.should_exit = True


def _config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=limited_protocol(settings.limits),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.limits.request_timeout) + 1,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
