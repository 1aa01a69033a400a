"""Workers and their supervisor are killed while clients ask: others answer, and no process is left over."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from e5_onnx_perf.serve_load.abuse import Target
from e5_onnx_perf.serve_load.load import body

T = TypeVar("T")

_TOLERANCE: Final = 2e-6
_PATIENCE_S: Final = 60.0
_AFTER_S: Final = 0.01
_CLIENTS: Final = 6
_COUNTING: Final = threading.Lock()


@dataclass(slots=True)
class Killed:
    """Counts of events around kills.

    Attributes:
        workers: Workers that were killed.
        answered: Requests with the right vectors.
        wrong: Requests with others, or with another status than 200.
        lost: Requests whose connection ended without an answer.
        at_risk: The most that may be lost: each kill can cost each client one.
        left_over: Workers that still run after their supervisor was killed.
    """

    workers: int = 0
    answered: int = 0
    wrong: int = 0
    lost: int = 0
    at_risk: int = 0
    left_over: int = 0

    @property
    def requests(self) -> int:
        """The number of requests that ended."""
        return self.answered + self.wrong + self.lost

    @property
    def harm(self) -> bool:
        """Whether more was lost than a kill may cost."""
        return bool(self.wrong or self.left_over or self.lost > self.at_risk)


def kill_workers(target: Target, *, count: int) -> Killed:
    """Kills workers one after another while clients ask, and at last the supervisor.

    Args:
        target: A server with several workers; its pid is the supervisor's.
        count: Workers to kill.
    """
    found, done = Killed(), threading.Event()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        clients = [pool.submit(_ask, target, found, done) for _ in range(_CLIENTS)]
        try:
            for number in range(count):
                _kill_one(target.pid, number, found)
        finally:
            done.set()
        for client in clients:
            client.result()
    last = _children(target.pid)
    os.kill(target.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        _until(lambda: not any(map(_runs, last)))
    found.left_over = sum(map(_runs, last))
    return found


def _kill_one(supervisor: int, number: int, found: Killed) -> None:
    """Kills a worker between two answers, and waits for another in its place and for more answers."""
    workers = _children(supervisor)
    ended = found.requests
    _until(lambda: found.requests > ended)
    found.workers += 1
    found.at_risk += _CLIENTS
    os.kill(workers[number % len(workers)], signal.SIGKILL)
    answered = found.answered
    _until(lambda: found.answered >= answered + _CLIENTS)
    _until(lambda: len(_children(supervisor)) == len(workers))


def _ask(target: Target, found: Killed, done: threading.Event) -> None:
    """One client: a few texts at a time, each time on a new connection."""
    chance = np.random.default_rng()
    while not done.is_set():
        chosen = chance.integers(len(target.texts), size=int(chance.integers(1, 9)))
        try:
            right = _is_right(target, chosen)
        except (OSError, http.client.HTTPException):
            with _COUNTING:
                found.lost += 1
            continue
        with _COUNTING:
            found.answered += right
            found.wrong += not right


def _is_right(target: Target, chosen: NDArray[np.int64]) -> bool:
    rows = _answer(target, [target.texts[index] for index in chosen]).get("data", [])
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    truth = target.truth[chosen]
    return vectors.shape == truth.shape and bool(np.abs(vectors - truth).max() <= _TOLERANCE)


def _answer(target: Target, texts: Sequence[str]) -> dict[str, Any]:
    address = urlsplit(target.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=_PATIENCE_S)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {target.key}"}
        connection.request("POST", "/v1/embeddings", json.dumps(body(texts)), headers)
        values: dict[str, Any] = json.loads(connection.getresponse().read())
        return values


def _until(condition: Callable[[], T]) -> T:
    """The value of a condition once it holds.

    Raises:
        TimeoutError: If it does not.
    """
    ends = time.monotonic() + _PATIENCE_S
    while not (found := condition()):
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(_AFTER_S)
    return found


def _children(pid: int) -> list[int]:
    return [
        int(word) for word in Path("/proc", str(pid), "task", str(pid), "children").read_text("ascii").split()
    ]


def _runs(pid: int) -> bool:
    try:
        return "Z" not in Path("/proc", str(pid), "stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
