"""One serving process: load, listen, and stop in order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from e5_onnx.serve.app import make_app, make_metrics_app
from e5_onnx.serve.metrics import Metrics
from e5_onnx.serve.model import ServedModel
from e5_onnx.serve.protocol import limited_protocol
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.state import State

_LOG: Final = logging.getLogger("e5_onnx.serve")
_KEEP_ALIVE_S: Final = 75
_HEADER_BYTES: Final = 32_768
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Sockets:
    """What a server listens on.

    Attributes:
        api: For clients.
        metrics: For /metrics alone, or None.
    """

    api: socket.socket
    metrics: socket.socket | None


def listen(settings: Settings) -> Sockets:
    """Binds the addresses.

    Raises:
        OSError: If one is taken, or not this machine's.
    """
    api = _bind(settings.host, settings.port)
    return Sockets(api, None if settings.metrics is None else _bind(*settings.metrics))


def _places(sockets: Sockets) -> dict[str, str | int]:
    host, port = sockets.api.getsockname()[:2]
    places: dict[str, str | int] = {"host": host, "port": port}
    return places if sockets.metrics is None else places | {"metrics_port": sockets.metrics.getsockname()[1]}


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    bound.setblocking(False)
    return bound


class _Server(uvicorn.Server):
    """uvicorn's server, without its signals: they end the process with the signal's own exit code."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, sockets: Sockets) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was taken.

    Raises:
        FolderError: A leaf of it says what is wrong with the folder.
    """
    metrics = Metrics(lambda: model.waiting_tokens)
    model = ServedModel(settings, metrics.batch)
    state = State(settings, model, metrics)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    servers = [_Server(_config(make_app(state), settings))]
    bound = [sockets.api]
    if sockets.metrics is not None:
        servers.append(_Server(_config(make_metrics_app(settings, metrics), settings)))
        bound.append(sockets.metrics)
    _LOG.info("serving", extra={**_places(sockets), "models": settings.model_names})
    watching = asyncio.ensure_future(_stop_in_order(stopping, state, servers))
    await asyncio.gather(*(server.serve([own]) for server, own in zip(servers, bound, strict=True)))
    watching.cancel()
    model.close()
    _LOG.info("stopped")


async def _stop_in_order(stopping: asyncio.Event, state: State, servers: Sequence[uvicorn.Server]) -> None:
    await stopping.wait()
    _LOG.info("stopping")
    # /ready says so first, while connections are still accepted: a balancer that looks has time to look.
    state.stopping = True
    await asyncio.sleep(state.settings.drain_s)
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
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.limits.deadline_s) + 1,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
