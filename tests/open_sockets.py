"""Sockets for tests: an application that listens in this process, and clients that are slow."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState
from waiting import until_async

from e5_onnx.serve.accepting import Listener
from e5_onnx.serve.protocol import LimitedProtocol, limited_protocol
from e5_onnx.serve.settings import Limits


async def open_slow(port: int, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    return reader, writer


async def read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@asynccontextmanager
async def serving(app: ASGIApp, limits: Limits) -> AsyncIterator[tuple[int, set[LimitedProtocol]]]:
    """A port, and the connections that are open there."""
    config = uvicorn.Config(app, http=limited_protocol(limits), lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    kind = config.http_protocol_class

    def make() -> asyncio.Protocol:
        made: asyncio.Protocol = kind(config=config, server_state=state, app_state={})  # type: ignore[call-arg]
        return made

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.setblocking(False)
        listener = Listener(listening, make, state.connections, places=limits.connections)
        yield listening.getsockname()[1], state.connections  # type: ignore[misc]
        await listener.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await until_async(lambda: not state.connections)


async def ask(port: int, path: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path)
    answer = await read_to_the_end(reader)
    writer.close()
    return answer
