"""Servers in processes of their own: ours, and the one that users would write without it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import httpx
import numpy as np
from numpy.typing import NDArray

from e5_onnx_perf.errors import WorkerError

_PATIENCE_S: Final = 120
_FEW_FILES: Final = "e5_onnx_perf.serve_load.few_files"
_PEER: Final = "e5_onnx_perf.serve_load.one_pager"


class ServerProcess:
    """A server that listens on this machine."""

    def __init__(
        self, name: str, command: Sequence[str], port: int, *, keys: str = "", stderr: IO[str] | None = None
    ) -> None:
        """Starts it and waits until it answers.

        Args:
            name: For tables.
            command: The command line.
            port: The port of this machine that it listens on.
            keys: The keys that clients have to send, or nothing.
            stderr: The file of its log; None for a temporary file.

        Raises:
            WorkerError: If it does not.
        """
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - until it ends
        environment = {**os.environ, "E5_ONNX_KEYS": keys}
        self._process = subprocess.Popen(  # noqa: S603 - ours
            list(command), stdout=self._log, stderr=stderr or self._log, env=environment
        )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise self._death()
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> int:
        """Asks it to stop and returns its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_PATIENCE_S)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's
        except OSError:
            return False

    def _death(self) -> WorkerError:
        self._process.kill()
        self._process.wait()
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        self._log.close()
        return WorkerError(self.name, said[-1] if said else "it did not answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alive:
            self._process.kill()
            self._process.wait()
        self._log.close()


def our_server(
    folder: Path, *words: str, name: str = "e5 serve", files: int | None = None, keys: str = ""
) -> ServerProcess:
    """`e5 serve FOLDER`, with queries as the default role.

    Args:
        folder: The model folder.
        words: More of the command line.
        name: For tables.
        files: File descriptors that it may have, or None for as many as we.
        keys: The keys that clients have to send, or nothing.

    Raises:
        WorkerError: If it does not start.
    """
    port = free_port()
    program = ["e5_onnx.cli"] if files is None else [_FEW_FILES, str(files)]
    command = [sys.executable, "-m", *program, "serve", str(folder), "--name", "model"]
    return ServerProcess(
        name,
        [*command, "--default-role", "query", "--log-level", "warning", "--port", str(port), *words],
        port,
        keys=keys,
    )


def peer_server(checkpoint: Path) -> ServerProcess:
    """sentence-transformers behind a page of Starlette."""
    port = free_port()
    return ServerProcess("one-pager", [sys.executable, "-m", _PEER, str(checkpoint), str(port)], port)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def ask_vectors(url: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of texts from a server's `POST /embed`: float32 [texts, dimension]."""
    # Without the environment's settings: a proxy would learn the texts.
    with httpx.Client(timeout=_PATIENCE_S, trust_env=False) as client:
        response = client.post(f"{url}/embed", json={"inputs": list(texts)})
    return np.array(response.raise_for_status().json(), np.float32)
