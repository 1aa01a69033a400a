"""Wrong keys are answered slowly after some, right ones at once; clocks are the tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from served import KEY, LocalServer, Served
from waiting import PATIENCE_S, until_async

from e5_onnx.serve.throttle import Throttle


def test_an_address_may_be_wrong_ten_times_and_then_once_a_second() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0], delay_s=0)

    async def wrong(address: str = "10.0.0.1") -> bool:
        return await throttle.wrong_key(address)

    async def run() -> None:
        assert [await wrong() for _ in range(12)] == [False] * 10 + [True] * 2
        assert not await wrong("10.0.0.2")
        now[0] = 1.0
        assert [await wrong() for _ in range(2)] == [False, True]
        now[0] = 1000.0
        assert [await wrong() for _ in range(11)] == [False] * 10 + [True]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("2001:db8::1", "2001:db8::2", True), ("2001:db8::1", "2001:db8:0:1::1", False),
     ("fe80::1%eth0", "fe80::2%eth0", True), ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
     ("10.0.0.1", "10.0.0.2", False), ("testclient", "testclient", True), ("", "x", False)],
)  # fmt: skip
def test_who_is_the_same(one: str, other: str, same: bool) -> None:
    throttle = Throttle(lambda: 0.0, delay_s=0)

    async def run() -> bool:
        for _ in range(10):
            assert not await throttle.wrong_key(one)
        return await throttle.wrong_key(other)

    assert asyncio.run(run()) is same


def test_addresses_are_forgotten_so_that_they_take_no_memory() -> None:
    throttle = Throttle(lambda: 0.0, delay_s=0)

    async def run() -> None:
        for number in range(5000):
            await throttle.wrong_key(f"10.0.{number // 256}.{number % 256}")
        assert len(throttle._buckets) == 1024

    asyncio.run(run())


def test_only_some_answers_are_held_back_at_once() -> None:
    throttle = Throttle(lambda: 0.0, delay_s=PATIENCE_S)

    async def run() -> None:
        for _ in range(10):
            await throttle.wrong_key("10.0.0.1")
        asked = [asyncio.create_task(throttle.wrong_key("10.0.0.1")) for _ in range(20)]
        await until_async(lambda: sum(task.done() for task in asked) == 4)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert throttle._held == 0

    asyncio.run(run())


def test_a_right_key_is_never_held_back(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--threads", "1", keys=KEY)
    body = {"inputs": "moon", "prompt_name": "query"}
    answers = [server.post("/embed", body, key="not-a-key-of-this-server") for _ in range(13)]
    assert [answer.status for answer in answers[:10]] == [401] * 10
    assert answers[-1].status == 429
    assert answers[-1].values["error"]["code"] == "too_many_wrong_keys"
    assert answers[-1].headers["retry-after"] == "10"
    assert server.post("/embed", body, key=KEY).status == 200


def test_a_request_from_nowhere_is_one_address(serve_app: Callable[..., Served]) -> None:
    served = serve_app(keys=(KEY.encode(),))
    assert served.send("GET", "/info").status_code == 401
