"""Servers for tests: an application without a socket, and a process with one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from waiting import PATIENCE_S, until

from e5_onnx.serve.app import make_app
from e5_onnx.serve.metrics import Metrics
from e5_onnx.serve.model import ServedModel
from e5_onnx.serve.settings import Settings
from e5_onnx.serve.state import State

KEY = "a-key-of-more-than-16"


class Served:
    """An application; each call is a request."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.settings = Settings(folder, "tiny", threads=1, **options)
        metrics = Metrics(lambda: self.model.waiting_tokens)
        self.model = ServedModel(self.settings, metrics.batch)
        self.state = State(self.settings, self.model, metrics)
        self.app = make_app(self.state)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.send_all([(method, path, options)])[0]

    def send_all(self, requests: Sequence[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        """Sends requests at once."""

        async def run() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await asyncio.gather(*(client.request(*row[:2], **row[2]) for row in requests))

        return asyncio.run(run())

    def post(self, path: str, **values: Any) -> httpx.Response:
        return self.send("POST", path, json=values)

    def close(self) -> None:
        self.model.close()


@dataclass(frozen=True)
class Answer:
    status: int
    values: Any
    headers: dict[str, str]


class LocalServer:
    """`e5 serve` in a process of its own, on a port that was free."""

    def __init__(self, folder: Path, words: Sequence[str], *, keys: str = "", program: str = "") -> None:
        environment = {**os.environ, "E5_ONNX_KEYS": keys}
        started = ["-c", program] if program else ["-m", "e5_onnx.cli"]
        command = [sys.executable, *started, "serve", str(folder), "--port", "0", *words]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.records: list[dict[str, Any]] = []
        self.other_output: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.wait_for("serving")["port"])
        self.url = f"http://127.0.0.1:{self.port}"
        until(self.answers)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.records.append(json.loads(line))
            except ValueError:
                self.other_output.append(line)

    def wait_for(self, message: str, *, count: int = 1) -> dict[str, Any]:
        """Waits for a record of the log, or for the count-th of that kind."""

        def found() -> list[dict[str, Any]]:
            ended = not self._reader.is_alive()  # so that what it said last is looked at
            records = [record for record in list(self.records) if record["message"] == message]
            said = f"{self.records} {self.other_output}"
            assert len(records) >= count or not ended, f"it ended without {message!r}: {said}"
            return records[count - 1 : count]

        return until(found, message)[0]

    def answers(self) -> bool:
        """Whether /health says so."""
        assert self.process.poll() is None, f"it ended: {self.records} {self.other_output}"
        try:
            return self.get("/health").status == 200
        except OSError:
            return False

    def get(self, path: str, *, port: int | None = None) -> Answer:
        return self._send(urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}"))

    def post(self, path: str, body: object, *, key: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        data = json.dumps(body).encode()
        return self._send(urllib.request.Request(self.url + path, data, headers))  # noqa: S310

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:  # noqa: S310
                return Answer(response.status, _decoded(response.read()), _headers(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _decoded(error.read()), _headers(error.headers))

    def stop(self) -> int:
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def _headers(found: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in found.items()}


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
