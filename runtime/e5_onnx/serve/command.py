"""`e5 serve`, once its libraries are there: from arguments to a running server."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path

from e5_onnx.errors import OptionError
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.serve.keys import read_keys
from e5_onnx.serve.log import set_up
from e5_onnx.serve.orphans import clear_up, end_with_supervisor
from e5_onnx.serve.server import serve
from e5_onnx.serve.settings import Limits, Settings, parse_address
from e5_onnx.serve.sockets import inherit, listen
from e5_onnx.serve.workers import Supervisor


def run(parsed: argparse.Namespace, arguments: list[str]) -> int:
    """Serves until it is told to stop.

    Args:
        parsed: The arguments.
        arguments: The same as words, for workers.

    Returns:
        0 when all that was taken was answered.

    Raises:
        OptionError: For a value out of range, an address that cannot be had, or an open one without a key.
        FolderError: A leaf of it says what is wrong with the folder.
    """
    settings = _settings(parsed)
    folder = open_folder(settings.folder)
    set_up(parsed.log_level)
    if parsed.listen_fd is not None:
        is_orphan = end_with_supervisor(parsed.supervisor_fd)
        asyncio.run(serve(settings, inherit(parsed.listen_fd), lambda: None))
        if is_orphan.is_set():
            clear_up()
        return 0
    sockets = listen(settings)
    greet = partial(_greet, settings.name, sockets.url)
    if parsed.workers > 1:
        folder.check()  # loading does so too, but a worker that cannot load would be started for ever
        greet()
        return Supervisor(arguments, parsed.workers, sockets).run()
    asyncio.run(serve(settings, sockets, greet))
    return 0


def _greet(name: str, url: str) -> None:
    """Tells a person where to look; programs read the log."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{name} is served at {url} (Ctrl-C stops it)\n")
        sys.stderr.flush()


def _settings(parsed: argparse.Namespace) -> Settings:
    if parsed.workers < 1:
        raise OptionError("workers", parsed.workers, "at least 1")
    if parsed.workers > 1 and sys.platform == "win32":
        raise OptionError("workers", parsed.workers, "1 on Windows, where processes cannot share a socket")
    metrics = parsed.metrics_address
    return Settings(
        folder=parsed.model,
        name=parsed.name or Path(os.path.normpath(parsed.model)).name,
        host=parsed.host,
        port=parsed.port,
        threads=parsed.threads,
        mode=parsed.mode,
        low_memory=parsed.low_memory,
        cache_queries=parsed.cache_queries,
        default_role=parsed.default_role,
        overflow=parsed.overflow,
        keys=read_keys(parsed.key_file, os.environ),
        insecure_no_key=parsed.insecure_no_key,
        allowed_hosts=tuple(parsed.allow_host),
        metrics=None if metrics is None else parse_address(metrics, "metrics_address"),
        drain_delay=parsed.drain_delay,
        limits=Limits(**{row.name: getattr(parsed, row.name) for row in fields(Limits)}),
    )
