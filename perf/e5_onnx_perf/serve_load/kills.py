"""Workers and their supervisor are killed while clients ask: who is left answers, and nobody is left over."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import numpy as np

from e5_onnx_perf.serve_load.abuse import Target
from e5_onnx_perf.serve_load.load import body

T = TypeVar("T")

_TOLERANCE: Final = 2e-6
_PATIENCE_S: Final = 60.0
_AFTER_S: Final = 0.05


@dataclass(slots=True)
class Killed:
    """What the kills did.

    Attributes:
        workers: Workers that were killed.
        answered: Requests with the right vector.
        wrong: Requests with another.
        lost: Requests that were in the hands of a killed worker: at most one each.
        left_over: Workers that still run after their supervisor was killed.
    """

    workers: int = 0
    answered: int = 0
    wrong: int = 0
    lost: int = 0
    left_over: int = 0


def kill_workers(target: Target, *, count: int) -> Killed:
    """Kills a worker again and again, and at last the supervisor.

    Args:
        target: A server with several workers; its pid is the supervisor's.
        count: Workers to kill.
    """
    found = Killed()
    for number in range(count):
        workers = _until(lambda: _children(target.pid))
        os.kill(workers[number % len(workers)], signal.SIGKILL)
        found.workers += 1
        for index in range(number, number + 8):
            _ask(target, index % len(target.texts), found)
    last = _until(lambda: _children(target.pid))
    os.kill(target.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        _until(lambda: not any(map(_runs, last)))
    found.left_over = sum(map(_runs, last))
    return found


def _ask(target: Target, index: int, found: Killed) -> None:
    try:
        values = _until(lambda: _answer(target, index))
    except (OSError, http.client.HTTPException):
        found.lost += 1
        return
    vector = np.array(values["data"][0]["embedding"], np.float32)
    if np.abs(vector - target.truth[index]).max() <= _TOLERANCE:
        found.answered += 1
    else:
        found.wrong += 1


def _answer(target: Target, index: int) -> dict[str, Any]:
    """The answer, or nothing if there is none yet."""
    address = urlsplit(target.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=_PATIENCE_S)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {target.key}"}
        connection.request("POST", "/v1/embeddings", json.dumps(body([target.texts[index]])), headers)
        answer = connection.getresponse()
        values: dict[str, Any] = json.loads(answer.read())
        return values if answer.status == HTTPStatus.OK else {}


def _until(condition: Callable[[], T]) -> T:
    """What a condition gives once it holds.

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
