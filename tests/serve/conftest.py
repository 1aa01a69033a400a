from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the [serve] extra")

from served import LocalServer, Served


@pytest.fixture
def serve_app(tiny_folder: Path) -> Iterator[Callable[..., Served]]:
    """Makes applications without a socket, by options of Settings."""
    made: list[Served] = []

    def make(**options: object) -> Served:
        made.append(Served(tiny_folder, **options))
        return made[-1]

    yield make
    for served in made:
        served.close()


@pytest.fixture
def start_server(tiny_folder: Path) -> Iterator[Callable[..., LocalServer]]:
    """Starts real servers, by words of the command line."""
    started: list[LocalServer] = []

    def start(*words: str, keys: str = "", program: str = "") -> LocalServer:
        started.append(LocalServer(tiny_folder, words, keys=keys, program=program))
        return started[-1]

    yield start
    for server in started:
        server.kill()
