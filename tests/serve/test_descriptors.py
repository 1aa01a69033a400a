"""As many connections as there are file descriptors."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from served import LocalServer
from waiting import until

from e5_onnx.errors import OptionError
from e5_onnx.serve import descriptors
from e5_onnx.serve.descriptors import room_for

resource = pytest.importorskip("resource", reason="needs limits as Unix has them")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limits that are set; the first is what there was."""
    found = [(1024, 4096)]
    monkeypatch.setattr(descriptors, "_OPEN", Path("/nothing"))
    monkeypatch.setattr(resource, "getrlimit", lambda _: found[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: found.append(limit))
    return found


def test_connections_that_fit_are_left_alone(limits: list[tuple[int, int]]) -> None:
    assert room_for(512, spare=8) == 512
    assert room_for(20, spare=8) == 20
    assert len(limits) == 1


def test_the_limit_is_raised_as_far_as_it_may_be(limits: list[tuple[int, int]]) -> None:
    # 64 that are open, 16 for files, the connections, and the spare ones.
    assert room_for(2000, spare=8) == 2000
    assert limits[-1] == (64 + 16 + 2000 + 8, 4096)
    assert room_for(10_000, spare=8) == 4096 - 64 - 16 - 8
    assert limits[-1] == (4096, 4096)


def test_without_a_limit_all_fit(limits: list[tuple[int, int]]) -> None:
    limits.append((1024, resource.RLIM_INFINITY))
    assert room_for(50_000, spare=8) == 50_000
    limits.append((resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert room_for(50_000, spare=8) == 50_000


def test_few_descriptors_are_few_connections(limits: list[tuple[int, int]]) -> None:
    limits.append((108, 108))
    assert room_for(512, spare=8) == 20
    limits.append((88, 88))
    with pytest.raises(OptionError, match="connections is 512; it must be at most what `ulimit -n` leaves"):
        room_for(512, spare=8)


def test_elsewhere_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert room_for(512, spare=8) == 512


def test_open_files_are_counted() -> None:
    assert 3 <= descriptors._open_descriptors() < 1000


_FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
from e5_onnx.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_server_with_few_descriptors_serves_all_the_same(start_server: Callable[..., LocalServer]) -> None:
    server = start_server("--threads", "1", program=_FEW_FILES)
    fewer = server.wait_for("fewer connections: the system gives no more files")["connections"]
    assert 1 <= fewer < 100

    async def run() -> None:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(300)]
        for _ in range(5):
            assert (await asyncio.to_thread(server.get, "/health")).status == 200
        for _, writer in held:
            writer.close()

    asyncio.run(run())
    until(server.answers)
    assert not server.other_output
    assert len([record for record in server.records if record["level"] == "error"]) <= 1
    assert server.stop() == 0
