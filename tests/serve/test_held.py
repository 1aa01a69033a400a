"""Bytes of all requests together: one limit, and no slow client that keeps others out."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Callable

import numpy as np
import pytest
from open_sockets import open_slow, read_to_the_end, serving
from served import Served
from waiting import PATIENCE_S, until_async

from e5_onnx.serve import answers, held
from e5_onnx.serve.answers import encode_each
from e5_onnx.serve.errors import QueueFullError
from e5_onnx.serve.held import HeldBytes
from e5_onnx.serve.settings import Limits

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/embed",
    "query_string": b"",
    "headers": [(b"host", b"localhost")],
}
HEAD = b"POST /embed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


def post(body: bytes) -> bytes:
    return HEAD % len(body) + body


ASKED = post(b'{"inputs": "moon"}')


def test_who_is_alone_may_hold_more_and_others_what_is_left() -> None:
    async def run() -> None:
        all_of_them = HeldBytes(100)
        with all_of_them.share(lambda: None) as one, all_of_them.share(lambda: None) as other:
            one.add(150)
            with pytest.raises(QueueFullError, match="try again in a moment") as refused:
                other.add(1)
            assert (refused.value.held, refused.value.limit) == (150, 100)
            one.size = 60
            other.add(40)
            with pytest.raises(QueueFullError):
                other.check(1)
            assert all_of_them.size == 100
        assert all_of_them.size == 0

    asyncio.run(run())


def test_who_is_waited_for_the_longest_is_ended_and_no_one_who_is_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        ended: list[str] = []
        all_of_them = HeldBytes(100)
        with (
            all_of_them.share(lambda: ended.append("first")) as first,
            all_of_them.share(lambda: ended.append("second")) as second,
            all_of_them.share(lambda: ended.append("at work")) as at_work,
            all_of_them.share(lambda: ended.append("empty")) as empty,
            all_of_them.share(lambda: None) as newcomer,
        ):
            for share in (first, second, at_work):
                share.add(30)
            empty.waits_since, first.waits_since, second.waits_since = -9.0, -2.0, -1.0
            monkeypatch.setattr(held, "PATIENCE_S", 1e12)
            with pytest.raises(QueueFullError):
                newcomer.add(20)
            monkeypatch.setattr(held, "PATIENCE_S", 0)
            newcomer.add(20)
            assert ended == ["first"]
            with pytest.raises(QueueFullError):
                newcomer.add(80)
            assert ended == ["first", "second"]

    asyncio.run(run())


def test_half_a_body_counts_and_its_sender_is_ended_for_others(
    serve_app: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "PATIENCE_S", PATIENCE_S)
    limits = Limits(queue_mb=0.001, body_timeout=PATIENCE_S)
    served = serve_app(default_role="query", limits=limits)

    async def run() -> None:
        async with serving(served.app, limits) as (port, _):
            slow, slow_writer = await open_slow(port, HEAD % 2000 + b" " * 1500)
            await until_async(lambda: served.state.held.size == 1500)
            # None of this body is sent: it is refused before.
            reader, writer = await open_slow(port, HEAD % 100)
            refused = await read_to_the_end(reader)
            assert b" 503 " in refused
            assert b"queue_full" in refused
            assert b"retry-after: 1" in refused.lower()
            writer.close()
            monkeypatch.setattr(held, "PATIENCE_S", 0)
            reader, writer = await open_slow(port, ASKED)
            assert b" 200 " in await read_to_the_end(reader)
            assert await read_to_the_end(slow) == b""
            for one in (writer, slow_writer):
                one.close()
        await until_async(lambda: served.state.held.size == 0)

    asyncio.run(run())


def test_an_answer_counts_until_it_is_read(
    serve_app: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "PATIENCE_S", PATIENCE_S)
    limits = Limits(queue_mb=0.005)
    served = serve_app(default_role="query", limits=limits)
    body = json.dumps({"inputs": ["moon"] * 400}).encode()

    async def run() -> None:
        reads = asyncio.Event()
        sent: list[int] = []

        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, object]:
            if not messages:
                await reads.wait()
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: dict[str, bytes]) -> None:
            await reads.wait()
            sent.append(len(message.get("body", b"")))

        first: asyncio.Future[None] = asyncio.ensure_future(served.app(SCOPE, receive, send))  # type: ignore[arg-type]
        shares = served.state.held._shares
        await until_async(lambda: any(share.waits_since and share.size > 5000 for share in shares))
        async with serving(served.app, limits) as (port, _):
            for status in (b" 503 ", b" 200 "):
                reader, writer = await open_slow(port, ASKED)
                assert status in await read_to_the_end(reader)
                writer.close()
                reads.set()
                await first
        assert sum(sent) > 5000

    asyncio.run(run())


def test_an_answer_that_would_not_fit_is_refused_before_the_work(serve_app: Callable[..., Served]) -> None:
    served = serve_app(default_role="query", limits=Limits(queue_mb=0.01))
    with served.state.held.share(lambda: None) as other:
        other.size = 5000
        refused = served.post("/embed", inputs=["moon"] * 400)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
        assert "e5_texts_total 0.0" in served.state.metrics.text().decode()
        assert served.post("/embed", inputs="moon").status_code == 200
        assert served.post("/tokenize", inputs="moon " * 400).status_code == 503
        assert served.post("/tokenize", inputs="moon").status_code == 200


def test_large_answers_are_encoded_beside_the_event_loop() -> None:
    async def run() -> None:
        gate = threading.Event()

        async def meanwhile() -> None:
            gate.set()

        values = (gate.wait(PATIENCE_S) for _ in range(2))
        encoded, _ = await asyncio.gather(encode_each(values, size=1_000_000), meanwhile())
        assert list(map(bytes, encoded)) == [b"true", b"true"]

    asyncio.run(run())


def test_large_answers_have_the_values_of_small_ones(
    serve_app: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_app(default_role="query")
    asked = {"inputs": ["moon", "river"]}
    small = [served.post(path, **asked).json() for path in ("/embed", "/tokenize")]
    monkeypatch.setattr(answers, "_FEW", 0)
    assert [served.post(path, **asked).json() for path in ("/embed", "/tokenize")] == small
    wanted = {"model": "tiny", "input": asked["inputs"], "encoding_format": "base64"}
    rows = served.post("/v1/embeddings", **wanted).json()["data"]
    found = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in rows]
    np.testing.assert_allclose(found, small[0], atol=2e-6)
