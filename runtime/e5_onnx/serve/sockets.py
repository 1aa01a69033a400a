"""The sockets that a server listens on, and the reason why an address cannot be used."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from e5_onnx.errors import OptionError
from e5_onnx.serve.settings import Settings

_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Sockets:
    """The sockets that a server listens on.

    Attributes:
        api: For clients.
        metrics: For /metrics alone, or None.
    """

    api: socket.socket
    metrics: socket.socket | None

    @property
    def places(self) -> dict[str, str | int]:
        """Addresses and ports, for the log."""
        host, port = self.api.getsockname()[:2]
        places: dict[str, str | int] = {"host": host, "port": port}
        return places if self.metrics is None else places | {"metrics_port": self.metrics.getsockname()[1]}

    @property
    def url(self) -> str:
        """An address of the page, for a browser on this machine."""
        host, port = self.api.getsockname()[:2]
        # Of a wildcard, which is no address to go to, this machine's own.
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"http://{shown}:{port}/"


def listen(settings: Settings) -> Sockets:
    """Binds the addresses.

    Raises:
        OptionError: If one is taken, not this machine's, or not for this user.
    """
    with ExitStack() as opened:
        api = opened.enter_context(_bind(settings.host, settings.port, _api_error))
        metrics = None if settings.metrics is None else _bind(*settings.metrics, _metrics_error)
        opened.pop_all()
    return Sockets(api, metrics)


def inherit(descriptors: str) -> Sockets:
    """The sockets of another process.

    Args:
        descriptors: Their numbers, with commas between.
    """
    api, *rest = (socket.socket(fileno=int(number)) for number in descriptors.split(","))
    return Sockets(api, rest[0] if rest else None)


_Explain = Callable[[str, int, OSError], OptionError]


def _bind(host: str, port: int, explain: _Explain) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise explain(host, port, error) from error
    bound.setblocking(False)
    return bound


def _api_error(host: str, port: int, error: OSError) -> OptionError:
    expected = {
        errno.EADDRINUSE: f"one that is free: another program listens on {host}, port {port}; 0 takes any",
        errno.EACCES: "1024 or more, or one that this user may listen on",
    }.get(error.errno or 0)
    if expected is not None:
        return OptionError("port", port, expected)
    return OptionError("host", host, f"an address of this machine ({error.strerror or error})")


def _metrics_error(host: str, port: int, error: OSError) -> OptionError:
    return OptionError(
        "metrics_address", f"{host}:{port}", f"one that can be had ({error.strerror or error})"
    )
