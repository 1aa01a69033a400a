"""Connections: each has a clock in every state, and however slow they are, others come in."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from open_sockets import ask, open_slow, read_to_the_end, serving
from served import KEY, LocalServer
from starlette.types import Receive, Scope, Send
from waiting import PATIENCE_S, until_async

from e5_onnx.serve import accepting
from e5_onnx.serve.protocol import SPARE
from e5_onnx.serve.settings import Limits

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n%b"
# Clients that are slow in each way that there is.
SLOW = {
    "silent": b"",
    "half a header": b"GET /health HTTP/1.1\r\nHost: loc",
    "half a body": POST % (b"/embed", b"{"),
    "a body that nobody reads": POST % (b"/health", b"x"),
    "a body for another host": POST.replace(b"localhost", b"evil.example") % (b"/embed", b"x"),
    "a body for no path": POST % (b"/nothing", b"x"),
    "a body of a page": POST.replace(b"POST", b"GET") % (b"/", b"x"),
    "a body that is too large": POST.replace(b"1000000", b"99999999") % (b"/embed", b"x"),
    "a body that waits to be asked for": POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    % (b"/health", b""),
    "half a chunk": b"POST /embed HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "an empty line": GET + b"\r\n",
    "half of the next": GET + b"GET /health HT",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("keys", ["", KEY], ids=["no key", "a key"])
def test_no_slow_client_is_waited_for_for_ever(keys: str, start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--header-timeout", "1", "--body-timeout", "1", "--threads", "1", keys=keys)

    async def run() -> dict[str, bytes]:
        opened = {name: await open_slow(server.port, sent) for name, sent in SLOW.items()}
        found = {name: await read_to_the_end(reader) for name, (reader, _) in opened.items()}
        for _, writer in opened.values():
            writer.close()
        return found

    found = asyncio.run(run())
    assert found["silent"] == found["half a header"] == b""
    assert b" 405 " in found["a body that nobody reads"]
    assert b" 404 " in found["a body for no path"]
    assert b" 200 " in found["a body of a page"]
    assert (b" 401 " if keys else b" 408 ") in found["half a body"]
    assert (b" 401 " if keys else b" 413 ") in found["a body that is too large"]
    assert (b" 401 " if keys else b" 403 ") in found["a body for another host"]
    assert b" 405 " in found["a body that waits to be asked for"]
    assert b" 100 " not in found["a body that waits to be asked for"]
    assert found["an empty line"].count(b" 200 ") == found["half of the next"].count(b" 200 ") == 1
    assert server.get("/health").status == 200
    assert not server.other_output


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_keep_nobody_out(kind: str, start_server: Callable[..., LocalServer]) -> None:
    patience = ("--header-timeout", str(PATIENCE_S), "--body-timeout", str(PATIENCE_S))
    server = start_server("--connections", "3", *patience, "--threads", "1")

    async def run() -> None:
        held = [await open_slow(server.port, SLOW[kind]) for _ in range(9)]
        for _ in range(5):
            for path in ("/health", "/info"):
                answer = await asyncio.to_thread(server.get, path)
                assert answer.status == 200
        for _, writer in held:
            writer.close()

    asyncio.run(run())


def test_what_was_sent_before_an_answer_is_read_so_that_the_answer_arrives(
    start_server: Callable[..., LocalServer],
) -> None:
    server = start_server("--threads", "1", "--max-body-mb", "0.5")
    body = {"inputs": "x" * 3_000_000}
    assert server.post("/embed", body).status == 413
    assert server.post("/nothing", body).status == 404


@dataclass
class Gated:
    """An application that answers when it may."""

    size: int = 2
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_work: int = 0

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] != "/health":
            self.at_work += 1
            await self.gate.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * self.size})


def test_where_all_are_at_work_probes_are_answered_and_others_told_to_wait() -> None:
    async def run() -> None:
        app = Gated()
        async with serving(app, Limits(connections=2)) as (port, _):
            working = [asyncio.create_task(ask(port, b"/work")) for _ in range(2)]
            await until_async(lambda: app.at_work == 2)
            assert b" 200 " in await ask(port, b"/health")
            refused = await ask(port, b"/work")
            assert b" 503 " in refused
            assert b"retry-after: 1" in refused.lower()
            assert b"too_many_connections" in refused
            app.gate.set()
            assert all([b" 200 " in await task for task in working])

    asyncio.run(run())


def test_there_is_an_end_to_probes_too() -> None:
    async def run() -> None:
        app = Gated()
        async with serving(app, Limits(connections=1)) as (port, connections):
            working = asyncio.create_task(ask(port, b"/work"))
            await until_async(lambda: app.at_work == 1)
            app_of_one = next(iter(connections))
            # Nobody's turn but the application's, as if all of them were at work.
            setattr(type(app_of_one), "is_waited_for", property(lambda _: False))  # noqa: B010 - a property
            held = [await open_slow(port, b"") for _ in range(SPARE + 3)]
            await until_async(lambda: len(connections) == 1 + SPARE)
            app.gate.set()
            assert b" 200 " in await working
            for _, writer in held:
                writer.close()

    asyncio.run(run())


def test_who_has_been_waited_for_the_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "LEAST_WAIT_S", 0)

    async def run() -> None:
        app = Gated()
        async with serving(app, Limits(connections=3)) as (port, connections):
            working = asyncio.create_task(ask(port, b"/work"))
            await until_async(lambda: app.at_work == 1)
            first, second = [await open_slow(port, b"GET") for _ in range(2)]
            await until_async(lambda: len(connections) == 3)
            third = await open_slow(port, b"GET")
            assert await read_to_the_end(first[0]) == b""
            await until_async(lambda: len(connections) == 3)
            fourth = await open_slow(port, b"GET")
            assert await read_to_the_end(second[0]) == b""
            app.gate.set()
            assert b" 200 " in await working
            for _, writer in (first, second, third, fourth):
                writer.close()

    asyncio.run(run())


def test_a_burst_of_connections_ends_none_whose_request_has_come() -> None:
    async def run() -> None:
        app = Gated()
        app.gate.set()
        async with serving(app, Limits(connections=3)) as (port, _):
            # Nothing is accepted meanwhile, since the event loop is here.
            held = [socket.create_connection(("127.0.0.1", port), PATIENCE_S) for _ in range(24)]
            for one in held[::2]:
                one.sendall(GET)
            for one in held[::2]:
                assert b" 200 " in await asyncio.to_thread(one.recv, 1000)
            for one in held:
                one.close()

    asyncio.run(run())


def test_a_client_has_time_before_it_can_be_ended_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "LEAST_WAIT_S", PATIENCE_S)

    async def run() -> None:
        app = Gated()
        app.gate.set()
        async with serving(app, Limits(connections=2)) as (port, connections):
            first, *rest = [await open_slow(port, b"") for _ in range(5)]
            await until_async(lambda: len(connections) == 2)
            writer = first[1]
            writer.write(GET)
            assert b" 200 " in await first[0].read(1000)
            writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert b" 200 " in await read_to_the_end(first[0])
            # Its place is another's, who waited in the system's queue.
            await until_async(lambda: len(connections) == 2)
            for _, writer in (first, *rest):
                writer.close()

    asyncio.run(run())


def test_a_system_that_is_out_of_files_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(accepting, "_RETRY_S", 0)
    refusals = [
        OSError(errno.EMFILE, "too many"),
        ConnectionAbortedError(),
        OSError(errno.EMFILE, "too many"),
    ]

    async def run() -> None:
        loop = asyncio.get_running_loop()
        accept = loop.sock_accept

        async def fail(listening: socket.socket) -> tuple[socket.socket, object]:
            if refusals:
                raise refusals.pop()
            return await accept(listening)

        monkeypatch.setattr(loop, "sock_accept", fail)
        app = Gated()
        app.gate.set()
        async with serving(app, Limits()) as (port, _):
            assert b" 200 " in await ask(port, b"/work")

    with caplog.at_level(logging.ERROR, "e5_onnx.serve"):
        asyncio.run(run())
    assert [(record.getMessage(), record.errno) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("new connections wait: the system has no room", errno.EMFILE)
    ]


def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    async def run() -> None:
        app = Gated(size=60_000_000)
        app.gate.set()
        async with serving(app, Limits(send_timeout=0.1)) as (port, connections):
            _, writer = await open_slow(port, b"GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert isinstance(writer.transport, asyncio.Transport)
            writer.transport.pause_reading()
            await until_async(lambda: app.at_work == 1)
            await until_async(lambda: not connections)
            writer.close()

    asyncio.run(run())


def test_an_answer_that_is_read_slowly_arrives() -> None:
    async def run() -> None:
        app = Gated(size=20_000_000)
        app.gate.set()
        async with serving(app, Limits(send_timeout=PATIENCE_S)) as (port, _):
            reader, writer = await open_slow(port, b"GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n")
            found = 0
            while found < 20_000_000:
                found += len(await reader.read(100_000))
                await asyncio.sleep(0)
            writer.close()

    asyncio.run(run())


def test_each_request_of_a_connection_has_its_own_clock() -> None:
    async def run() -> None:
        app = Gated()
        app.gate.set()
        async with serving(app, Limits()) as (port, connections):
            _, writer = await open_slow(port, b"")
            await until_async(lambda: connections)
            one = next(iter(connections))
            begun = one.since
            writer.write(b"GET /work HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            await until_async(lambda: app.at_work == 20 and one.phase == "idle")
            assert one.since > begun
            writer.write(b"G")
            await until_async(lambda: one.phase == "headers")
            writer.close()

    asyncio.run(run())
