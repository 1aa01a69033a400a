"""How a server is to be run, checked before a model is loaded."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from e5_onnx.errors import OptionError
from e5_onnx.options import Mode
from e5_onnx.overflow import POLICIES
from e5_onnx.recipes import ROLES, Role
from e5_onnx.tokenization import OverflowPolicy


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do at most.

    Attributes:
        body_bytes: Of a request.
        items: Texts of a request.
        tokens: Of all texts of a request.
        queue_tokens: That wait, of all requests.
        connections: At once.
        header_s: Until a request's headers are complete.
        body_s: Until its body is.
        deadline_s: From a request's body to its answer.
        memory_mb: Resident memory beyond which no work is taken; None for no limit.
    """

    body_bytes: int = 8_000_000
    items: int = 4096
    tokens: int = 500_000
    queue_tokens: int = 2_000_000
    connections: int = 512
    header_s: float = 10.0
    body_s: float = 30.0
    deadline_s: float = 120.0
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        for name in ("body_bytes", "items", "tokens", "queue_tokens", "connections"):
            if getattr(self, name) < 1:
                raise OptionError(_flag(name), getattr(self, name), "at least 1")
        for name in ("header_s", "body_s", "deadline_s", "memory_mb"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(_flag(name), value, "more than 0")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server is run.

    Attributes:
        folder: The model folder.
        name: What clients call the model.
        host: The address to listen on.
        port: 0 for any that is free.
        threads: Of the model, or None for what this process may use.
        mode: `throughput` for a batch a thread, `latency` for one batch that all threads work on.
        default_role: The role of a text that names none; None to refuse such a request.
        overflow: What becomes of texts that are too long.
        keys: Of which a client has to send one; empty for no key.
        no_key_is_meant: Whether another address than loopback may go without.
        allowed_hosts: Names that a Host header may have, beside the loopback's and the address itself.
        metrics: Address and port for /metrics alone, or None.
        drain_s: Between saying that it stops and stopping to accept.
        limits: Of clients.
    """

    folder: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 8080
    threads: int | None = None
    mode: Mode = "throughput"
    default_role: Role | None = None
    overflow: OverflowPolicy = "truncate"
    keys: tuple[bytes, ...] = ()
    no_key_is_meant: bool = False
    allowed_hosts: tuple[str, ...] = ()
    metrics: tuple[str, int] | None = None
    drain_s: float = 0.5
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.name or ":" in self.name:
            raise OptionError("--name", self.name, "a name without a colon: roles are written after one")
        if self.default_role is not None and self.default_role not in ROLES:
            raise OptionError("--default-role", self.default_role, f"one of {', '.join(ROLES)}")
        if self.overflow not in POLICIES:
            raise OptionError("--overflow", self.overflow, f"one of {', '.join(POLICIES)}")
        if not self.keys and not self.no_key_is_meant and not is_loopback(self.host):
            raise OptionError(
                "--host",
                self.host,
                "127.0.0.1 as long as there is no key: set --key-file or E5_ONNX_KEYS, or say "
                "--insecure-no-key if whoever reaches this address may use it",
            )

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


def parse_address(text: str, flag: str) -> tuple[str, int]:
    """Reads `HOST:PORT`.

    Raises:
        OptionError: If it is not that.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004
        raise OptionError(flag, text, "HOST:PORT, such as 127.0.0.1:9100")
    return host.strip("[]"), int(port)


def _flag(name: str) -> str:
    limited = {"body_bytes": "body", "memory_mb": "memory", "items": "items", "tokens": "tokens"}
    return f"--max-{limited[name]}" if name in limited else "--" + name.removesuffix("_s").replace("_", "-")
