"""Counters in Prometheus' format. No label holds anything that a client can choose."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of a server; prometheus_client adds up those of several worker processes."""

    def __init__(self, waiting_tokens: Callable[[], int]) -> None:
        """Takes the function that counts waiting tokens."""
        self._waiting_tokens = waiting_tokens
        self.registry = CollectorRegistry()
        own = self.registry
        self.requests = Counter("e5_requests", "Requests.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "e5_request_seconds", "Until an answer.", ["route"], buckets=_SECONDS, registry=own
        )
        self.texts = Counter("e5_texts", "Texts embedded.", registry=own)
        self.tokens = Counter("e5_tokens", "Tokens embedded.", registry=own)
        self.truncated = Counter("e5_truncated_texts", "Texts cut to what the model takes.", registry=own)
        self.cached = Counter("e5_cached_queries", "Queries whose vectors were kept.", registry=own)
        self.cancelled = Counter("e5_cancelled_requests", "Clients that went away.", registry=own)
        self.batches = Histogram(
            "e5_batch_seconds", "Of a batch in the model.", buckets=_SECONDS, registry=own
        )
        self.queue = Gauge("e5_queue_tokens", "Tokens that wait.", registry=own, multiprocess_mode="livesum")

    def count(self, texts: int, tokens: int, truncated: int) -> None:
        """Counts a request that was embedded."""
        self.texts.inc(texts)
        self.tokens.inc(tokens)
        self.truncated.inc(truncated)

    def batch(self, _tokens: int, seconds: float) -> None:
        """Counts a batch."""
        self.batches.observe(seconds)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        self.queue.set(self._waiting_tokens())
        if MULTIPROCESS not in os.environ:
            return bytes(generate_latest(self.registry))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(together))
