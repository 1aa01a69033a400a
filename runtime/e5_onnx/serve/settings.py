"""How a server is to be run, checked before a model is loaded."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from e5_onnx.errors import OptionError
from e5_onnx.inference.options import Mode
from e5_onnx.recipes import ROLES, Role
from e5_onnx.serve.hosts import check_name
from e5_onnx.serve.memory import resident_mb
from e5_onnx.tokens.overflow import POLICIES
from e5_onnx.tokens.tokenization import OverflowPolicy

_LAST_PORT = 65_535
_LEFT_OUT = "left out: this system does not tell how much memory a process holds"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for clients.

    Attributes:
        max_body_mb: Body of a request, in 10^6 bytes.
        max_items: Texts of a request.
        max_tokens: Tokens of all texts of a request.
        queue_tokens: Tokens that wait, of all requests.
        queue_mb: Bodies, and answers that are not sent, of all requests, in 10^6 bytes.
        connections: Open connections.
        header_timeout: Seconds until a request's headers are complete.
        body_timeout: Seconds until its body is complete.
        request_timeout: Seconds from a request's body to its answer.
        send_timeout: Seconds in which a client has to read a part of its answer, 256 kB.
        max_memory_mb: Resident memory in 10^6 bytes beyond which no work is taken; None for no limit.
    """

    max_body_mb: float = 8.0
    max_items: int = 4096
    max_tokens: int = 500_000
    queue_tokens: int = 2_000_000
    queue_mb: float = 256.0
    connections: int = 512
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    request_timeout: float = 120.0
    send_timeout: float = 30.0
    max_memory_mb: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_items", "max_tokens", "queue_tokens", "connections"):
            if getattr(self, name) < 1:
                raise OptionError(name, getattr(self, name), "at least 1")
        times = ("header_timeout", "body_timeout", "request_timeout", "send_timeout")
        for name in ("max_body_mb", "queue_mb", *times, "max_memory_mb"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(name, value, "more than 0")
        if self.max_memory_mb is not None and resident_mb() is None:
            raise OptionError("max_memory_mb", self.max_memory_mb, _LEFT_OUT)

    @property
    def body_bytes(self) -> int:
        """Bytes of a body."""
        return int(self.max_body_mb * 1e6)

    @property
    def queue_bytes(self) -> int:
        """Bytes of all bodies and answers."""
        return int(self.queue_mb * 1e6)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is run.

    Attributes:
        folder: The model folder.
        name: The model's name for clients.
        host: The address to listen on.
        port: 0 for any that is free.
        threads: Number of threads of the model; None for as many as this process may use.
        mode: `throughput` for a batch a thread, `latency` for one batch that all threads work on.
        low_memory: Whether weights stay in the mapped file: less private memory, slower.
        cache_queries: Number of recent queries whose vectors are kept.
        default_role: The role of a text that names none; None to refuse such a request.
        overflow: How texts beyond the token limit are treated.
        keys: The accepted keys; empty if no key is needed.
        insecure_no_key: Whether another address than loopback may go without.
        allowed_hosts: Names that a Host header may have beside the server's own; `*` for any.
        metrics: Address and port for /metrics alone, or None.
        drain_delay: Seconds between saying that it stops and accepting no more connections.
        limits: The limits for clients.
    """

    folder: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 8080
    threads: int | None = None
    mode: Mode = "throughput"
    low_memory: bool = False
    cache_queries: int = 0
    default_role: Role | None = None
    overflow: OverflowPolicy = "truncate"
    keys: tuple[bytes, ...] = ()
    insecure_no_key: bool = False
    allowed_hosts: tuple[str, ...] = ()
    metrics: tuple[str, int] | None = None
    drain_delay: float = 0.5
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.cache_queries < 0:
            raise OptionError("cache_queries", self.cache_queries, "at least 0")
        if not self.name or ":" in self.name:
            raise OptionError("name", self.name, "a name without a colon: roles are written after one")
        if not 0 <= self.port <= _LAST_PORT:
            raise OptionError("port", self.port, f"0 to {_LAST_PORT}")
        if self.default_role is not None and self.default_role not in ROLES:
            raise OptionError("default_role", self.default_role, f"one of {', '.join(ROLES)}")
        if self.overflow not in POLICIES:
            raise OptionError("overflow", self.overflow, f"one of {', '.join(POLICIES)}")
        if not self.keys and not self.insecure_no_key and not is_loopback(self.host):
            raise OptionError(
                "host",
                self.host,
                "127.0.0.1 as long as there is no key: set `key_file` or E5_ONNX_KEYS, or `insecure_no_key` "
                "if whoever reaches this address may use it",
            )
        for name in self.allowed_hosts:
            check_name(name)

    @property
    def model_names(self) -> list[str]:
        """Every name a client may ask for."""
        return [self.name, f"{self.name}:query", f"{self.name}:document"]


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def parse_address(text: str, parameter: str) -> tuple[str, int]:
    """Reads `HOST:PORT`.

    Args:
        text: The address.
        parameter: The name of the parameter, for the message.

    Raises:
        OptionError: If it is not that.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > _LAST_PORT:
        raise OptionError(parameter, text, "HOST:PORT, such as 127.0.0.1:9100")
    return host.strip("[]"), int(port)
