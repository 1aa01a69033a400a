"""How a server starts and stops: the line on a terminal, and systems whose event loops have no signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from served import LocalServer
from waiting import PATIENCE_S, until

pty = pytest.importorskip("pty", reason="needs terminals as Unix has them")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_on_a_terminal_one_line_says_where_to_look(workers: str, tiny_folder: Path) -> None:
    terminal, inside = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "e5_onnx.cli",
        "serve",
        str(tiny_folder),
        "--port",
        "0",
        "--workers",
        workers,
    ]
    process = subprocess.Popen(command, stderr=inside)
    os.close(inside)
    shown = b""

    def port() -> int:
        nonlocal shown
        shown += os.read(terminal, 65_536)
        records = [
            json.loads(line)
            for line in shown.splitlines(keepends=True)
            if line[:1] == b"{" and line[-1:] == b"\n"
        ]
        return next((record["port"] for record in records if record["message"] == "serving"), 0)

    url = f"http://127.0.0.1:{until(port)}/"
    while b"(Ctrl-C" not in shown:
        shown += os.read(terminal, 65_536)
    lines = [line for line in shown.decode().splitlines() if not line.startswith("{")]
    assert lines == [f"tiny_e5 is served at {url} (Ctrl-C stops it)"]
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    os.close(terminal)


def test_elsewhere_there_are_records_only(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--threads", "1")
    assert server.stop() == 0
    assert not server.other_output


# What Windows' event loops do; its signals end up in Python's own handlers.
_AS_ON_WINDOWS = """
import asyncio, sys
def refuse(*_):
    raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = refuse
from e5_onnx.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_and_stops_where_the_loop_takes_no_signals(number: int, tiny_folder: Path) -> None:
    command = [sys.executable, "-c", _AS_ON_WINDOWS, "serve", str(tiny_folder), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any('"serving"' in line for line in iter(process.stderr.readline, ""))
    process.send_signal(number)
    assert "stopped" in process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 0
