"""Which Host headers are answered.

A page in a browser that was led to this server's address by a name of its own (DNS rebinding) sends that
name: nobody may come in by a name that is not ours. An address is no name, so it may always be used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from e5_onnx.errors import OptionError

ANY: Final = "*"
_OWN: Final = ("localhost", "localhost.localdomain")


def allowed_names(host: str, others: Sequence[str], *, keyed: bool) -> frozenset[str]:
    """Names by which clients may come.

    Args:
        host: The name that the server listens on.
        others: Further names.
        keyed: Whether a key is needed. With a key, any name is accepted (`*`): a third-party page has no key.
    """
    if keyed:
        return frozenset({ANY})
    return frozenset(name.lower() for name in (*_OWN, host, *others))


def is_allowed(header: str, names: frozenset[str]) -> bool:
    """Whether a Host header is answered.

    Args:
        header: Its value, with or without a port; empty if there was none.
        names: As `allowed_names` gives them.
    """
    name = _without_port(header).lower().removesuffix(".")
    return ANY in names or name in names or _is_address(name)


def check_name(name: str) -> None:
    """Refuses what could never be a Host header's name.

    Raises:
        OptionError: If it has a scheme, a port, a path, or a `*` that is not alone.
    """
    if name != ANY and (not name or any(sign in name for sign in "*/ :")):
        raise OptionError(
            "allow_host", name, "a name as clients write it, without scheme and port, or * for any"
        )


def _without_port(header: str) -> str:
    host = header.strip()
    # A port, unless the colon is an IPv6 address's.
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).strip("[]")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
