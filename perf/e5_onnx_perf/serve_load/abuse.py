"""Mixed load, a fifth of it broken: no crash, no wrong vector, no answer that stays out."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import numpy as np
from numpy.typing import NDArray

from e5_onnx_perf.process_memory import memory
from e5_onnx_perf.serve_load.load import body
from e5_onnx_perf.serve_load.rubbish import KINDS

_PATH: Final = "/v1/embeddings"
_CLIENTS: Final = 16
_BROKEN: Final = 0.2
_TOLERANCE: Final = 2e-6
_PATIENCE_S: Final = 60
_PROBE_S: Final = 0.5


@dataclass(slots=True)
class Found:
    """Counts of events.

    Attributes:
        answered: Good requests with the right vectors.
        wrong: Good requests with others.
        refused: Good requests that got another answer than vectors, by status: 429 is allowed, 500 is not.
        unanswered: Good requests without an answer, by what the client saw.
        statuses: Counts of broken requests, by kind and status; 0 where the connection was closed.
        memory_mb: The server's resident memory, each second.
        reconnected: Good requests that found their idle connection closed, and were right on a new one.
        health_s: Seconds until /health answered a new connection, each time it was asked.
        unhealthy: Times when it did not.
    """

    answered: int = 0
    wrong: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    memory_mb: list[float] = field(default_factory=list)
    reconnected: int = 0
    health_s: list[float] = field(default_factory=list)
    unhealthy: int = 0

    @property
    def good_requests(self) -> int:
        """How many came to an end, whatever end."""
        return self.answered + self.wrong + self.refused.total() + self.unanswered.total()


@dataclass(frozen=True, slots=True)
class Target:
    """A server and what is right for it.

    Attributes:
        url: The address of the server.
        key: The key that it wants.
        texts: The texts of good requests.
        truth: float32 [texts, dimension]: their vectors.
        pid: The process whose memory is watched.
    """

    url: str
    key: str
    texts: Sequence[str]
    truth: NDArray[np.float32]
    pid: int


def after(seconds: float) -> Callable[[Found], bool]:
    """The end of abuse: seconds have passed, and there were as many good requests as clients."""
    ends = time.monotonic() + seconds
    return lambda found: time.monotonic() >= ends and found.good_requests >= _CLIENTS


def abuse(target: Target, *, until: Callable[[Found], bool]) -> Found:
    """Sends good and broken requests until what was found is enough."""

    async def run() -> Found:
        headers = {"Authorization": f"Bearer {target.key}"}
        async with httpx.AsyncClient(base_url=target.url, timeout=_PATIENCE_S, headers=headers) as client:
            mob = _Mob(client, target, until)
            await asyncio.gather(*(mob.send(seed) for seed in range(_CLIENTS)), mob.watch(), mob.probe())
        return mob.found

    return asyncio.run(run())


class _Mob:
    def __init__(self, client: httpx.AsyncClient, target: Target, until: Callable[[Found], bool]) -> None:
        self.found = Found()
        self._client, self._target, self._until = client, target, until

    async def send(self, seed: int) -> None:
        """One client: good requests, and broken ones in between."""
        chance = np.random.default_rng(seed)
        while not self._until(self.found):
            if chance.random() < _BROKEN:
                await self._broken(list(KINDS)[int(chance.integers(len(KINDS)))])
            else:
                await self._good(chance.integers(len(self._target.texts), size=int(chance.integers(1, 9))))

    async def watch(self) -> None:
        """Looks at the server's memory, each second and at least once."""
        while True:
            self.found.memory_mb.append(memory(self._target.pid).resident_mb)
            if self._until(self.found):
                return
            await asyncio.sleep(1)

    async def probe(self) -> None:
        """Asks as a balancer does whether the server lives, twice a second and at least once."""
        while True:
            started = time.perf_counter()
            try:
                async with httpx.AsyncClient(base_url=self._target.url, timeout=_PATIENCE_S) as client:
                    self.found.unhealthy += (await client.get("/health")).status_code != httpx.codes.OK
            except httpx.HTTPError:
                self.found.unhealthy += 1
            self.found.health_s.append(time.perf_counter() - started)
            if self._until(self.found):
                return
            await asyncio.sleep(_PROBE_S)

    async def _broken(self, kind: str) -> None:
        status = 0
        with contextlib.suppress(httpx.HTTPError, OSError):
            status = await KINDS[kind](self._client)
        self.found.statuses[f"{kind} {status}"] += 1

    async def _good(self, chosen: NDArray[np.int64]) -> None:
        asked = body([self._target.texts[index] for index in chosen])
        try:
            answer = await self._post(asked)
        except httpx.HTTPError as error:
            self.found.unanswered[f"{type(error).__name__}: {error}"] += 1
            return
        if answer.status_code != httpx.codes.OK:
            self.found.refused[str(answer.status_code)] += 1
            return
        vectors = np.array([row["embedding"] for row in answer.json()["data"]], np.float32)
        if np.abs(vectors - self._target.truth[chosen]).max() <= _TOLERANCE:
            self.found.answered += 1
        else:
            self.found.wrong += 1

    async def _post(self, asked: dict[str, Any]) -> httpx.Response:
        try:
            return await self._client.post(_PATH, json=asked)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # A server may close a connection while it is idle, and a client only sees that when it asks.
            answer = await self._client.post(_PATH, json=asked, headers={"Connection": "close"})
            self.found.reconnected += 1
            return answer
