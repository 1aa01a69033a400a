"""`e5 serve`, once its libraries are there: from arguments to a running server."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
from pathlib import Path

from e5_onnx.errors import OptionError
from e5_onnx.folder import open_folder
from e5_onnx.serve.hosts import check_name
from e5_onnx.serve.keys import read_keys
from e5_onnx.serve.log import set_up
from e5_onnx.serve.server import Sockets, listen, serve
from e5_onnx.serve.settings import Limits, Settings, parse_address
from e5_onnx.serve.workers import Supervisor


def run(parsed: argparse.Namespace, arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Args:
        parsed: The arguments.
        arguments: The same as words, for workers.

    Returns:
        0 when all that was taken was answered.

    Raises:
        OptionError: For a value out of range, or an open address without a key.
        FolderError: A leaf of it says what is wrong with the folder.
        OSError: If the address is taken.
    """
    settings = _settings(parsed)
    folder = open_folder(settings.folder)
    set_up(parsed.log_level)
    if parsed.listen_fd is not None:
        sockets = _inherited(parsed.listen_fd)
    else:
        sockets = listen(settings)
        if parsed.workers > 1:
            folder.check()  # loading does so too, but a worker that cannot load would be started for ever
            return Supervisor(arguments, parsed.workers, sockets).run()
    asyncio.run(serve(settings, sockets))
    return 0


def _settings(parsed: argparse.Namespace) -> Settings:
    if parsed.workers < 1:
        raise OptionError("--workers", parsed.workers, "at least 1")
    limits = Limits(
        body_bytes=int(parsed.max_body * 1e6),
        items=parsed.max_items,
        tokens=parsed.max_tokens,
        queue_tokens=parsed.queue_tokens,
        connections=parsed.connections,
        header_s=parsed.header,
        body_s=parsed.body,
        deadline_s=parsed.deadline,
        memory_mb=parsed.max_memory,
    )
    metrics = parsed.metrics_address
    return Settings(
        folder=parsed.model,
        name=parsed.name or Path(os.path.normpath(parsed.model)).name,
        host=parsed.host,
        port=parsed.port,
        threads=parsed.threads,
        mode=parsed.mode,
        default_role=parsed.default_role,
        overflow=parsed.overflow,
        keys=read_keys(parsed.key_file, os.environ),
        no_key_is_meant=parsed.insecure_no_key,
        allowed_hosts=tuple(map(check_name, parsed.allow_host)),
        metrics=None if metrics is None else parse_address(metrics, "--metrics-address"),
        drain_s=parsed.drain,
        limits=limits,
    )


def _inherited(listed: str) -> Sockets:
    """The supervisor's sockets, by the numbers of their descriptors."""
    api, *rest = (socket.socket(fileno=int(number)) for number in listed.split(","))
    return Sockets(api, rest[0] if rest else None)
