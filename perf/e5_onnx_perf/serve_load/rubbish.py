"""Requests that a server has to survive: broken, slow, endless, and sockets that are no requests at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import httpx

from e5_onnx_perf.serve_load.load import body

Send = Callable[[httpx.AsyncClient], Awaitable[int]]

_PATH: Final = "/v1/embeddings"
_HUGE: Final = 50_000_000
_LONG: Final = 7_000_000
_HELD_S: Final = 3.0
_SOCKETS: Final = 300

_POST: Final = b"POST /embed HTTP/1.1\r\nHost: localhost\r\n"
_GET: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
_SLOW: Final = (
    b"",
    b"GET /health HTTP/1.1\r\nHo",
    _GET + b"GET /hea",
    _POST + b"Content-Length: 1000000\r\n\r\n{",
    _POST.replace(b"/embed", b"/health") + b"Content-Length: 1000000\r\n\r\nx",
    _POST.replace(b"localhost", b"evil.example") + b"Content-Length: 1000000\r\n\r\nx",
    _POST + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
    _POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"\x16\x03\x01\x02\x00\x01",
)


async def _post(client: httpx.AsyncClient, content: bytes, key: str | None = None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return (await client.post(_PATH, content=content, headers=headers)).status_code


async def _text(client: httpx.AsyncClient, text: str) -> int:
    return (await client.post(_PATH, json=body([text]))).status_code


async def _tokens(client: httpx.AsyncClient) -> int:
    content = json.dumps({"inputs": "a b " * (_LONG // 4)})
    return (await client.post("/tokenize", content=content)).status_code


async def _cancelled(client: httpx.AsyncClient) -> int:
    with contextlib.suppress(httpx.TimeoutException):
        await client.post(_PATH, json=body(["a text that nobody waits for"] * 50), timeout=0.02)
    return 0


async def _sockets(client: httpx.AsyncClient, count: int) -> int:
    """Opens sockets, each slow in its way, and holds them for a while."""
    address = urlsplit(str(client.base_url))
    writers = []
    for number in range(count):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(_SLOW[number % len(_SLOW)])
        writers.append(writer)
    await asyncio.sleep(_HELD_S)
    for writer in writers:
        writer.close()
    return 0


async def _unread(client: httpx.AsyncClient) -> int:
    """Asks for a large answer and reads nothing of it."""
    address = urlsplit(str(client.base_url))
    content = json.dumps(body([f"{number}" for number in range(2000)])).encode()
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1024)
    key = client.headers["Authorization"]
    headers = f"Authorization: {key}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    writer.write(_POST.replace(b"/embed", _PATH.encode()) + headers + content)
    await reader.read(1)
    await asyncio.sleep(_HELD_S)
    writer.close()
    return 0


KINDS: Final[dict[str, Send]] = {
    "malformed": lambda client: _post(client, b'{"model": "model", "input": ['),
    "50 MB": lambda client: _post(client, b" " * _HUGE),
    "wrong key": lambda client: _post(client, b"{}", "not-the-key-of-this-server"),
    "NUL": lambda client: _post(client, b'{"model": "model", "input": "a\\u0000b"}'),
    "lone surrogate": lambda client: _post(client, b'{"model": "model", "input": "\\ud800"}'),
    "cancelled": _cancelled,
    "binary": lambda client: _post(client, bytes(range(256))),
    "long text": lambda client: _text(client, "moon river " * (_LONG // 11)),
    "long run": lambda client: _text(client, "x" * _LONG),
    "long text of the larger tokenizer": lambda client: _text(
        client, "\u0897" + "moon river " * (_LONG // 11)
    ),
    "long tokens": _tokens,
    "slow sockets": lambda client: _sockets(client, len(_SLOW)),
    "all descriptors": lambda client: _sockets(client, _SOCKETS),
    "unread": _unread,
}
