"""Clients that measure: texts in a second, the latency of one text, and of one during bulk."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import numpy as np

from e5_onnx_perf.errors import WorkerError

_NO_TIMEOUT: Final = httpx.Timeout(None)
_JSON: Final = {"Content-Type": "application/json"}
_PAUSE_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Latencies:
    """Latencies of single texts, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float

    @staticmethod
    def of(seconds: Sequence[float]) -> Latencies:
        """The percentiles of some measurements."""
        p50, p95, p99 = (round(1000 * float(value), 2) for value in np.percentile(seconds, [50, 95, 99]))
        return Latencies(p50, p95, p99)


def body(texts: Sequence[str]) -> dict[str, Any]:
    """A request that both servers understand."""
    return {"model": "model", "input": list(texts), "encoding_format": "float"}


def throughput(url: str, requests: Sequence[Sequence[str]], *, clients: int) -> float:
    """Seconds that clients take together for all requests, each sending its next when it has an answer."""

    async def run() -> float:
        waiting = iter(requests)
        async with httpx.AsyncClient(base_url=url, timeout=_NO_TIMEOUT, limits=_limits(clients)) as client:

            async def one() -> None:
                for texts in waiting:
                    (await client.post("/v1/embeddings", json=body(texts))).raise_for_status()

            await client.get("/health")
            started = time.perf_counter()
            await asyncio.gather(*(one() for _ in range(clients)))
            return time.perf_counter() - started

    return asyncio.run(run())


def singles(url: str, texts: Sequence[str], *, beside: Sequence[str] = ()) -> list[float]:
    """Seconds of one text after another, while a bulk request of others may run all the time.

    By the standard library's client: httpx alone takes three milliseconds for a request.
    """

    async def run() -> list[float]:
        async with httpx.AsyncClient(base_url=url, timeout=_NO_TIMEOUT, limits=_limits(4)) as client:
            bulk = asyncio.create_task(_bulk(client, beside)) if beside else None
            await client.post("/v1/embeddings", json=body(texts[:1]))
            if bulk is not None:
                await asyncio.sleep(0.5)
            found = await asyncio.to_thread(one_after_another, url, texts)
            if bulk is not None:
                bulk.cancel()
            return found

    return asyncio.run(run())


def one_after_another(url: str, texts: Sequence[str]) -> list[float]:
    """Seconds of each text, on one connection.

    Raises:
        WorkerError: For an answer that is not vectors.
    """
    address, found = urlsplit(url), []
    with closing(http.client.HTTPConnection(str(address.hostname), address.port)) as connection:
        for text in texts:
            started = time.perf_counter()
            connection.request("POST", "/v1/embeddings", json.dumps(body([text])), _JSON)
            answer = connection.getresponse()
            said = answer.read()
            found.append(time.perf_counter() - started)
            if answer.status != HTTPStatus.OK:
                raise WorkerError(url, said.decode("utf-8", "replace"))
            time.sleep(_PAUSE_S)
    return found


async def _bulk(client: httpx.AsyncClient, texts: Sequence[str]) -> None:
    while True:
        (await client.post("/v1/embeddings", json=body(texts))).raise_for_status()


def _limits(clients: int) -> httpx.Limits:
    return httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
