"""As many connections as the system gives file descriptors for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e5_onnx.errors import OptionError

# For a connection that is accepted and waits for its place, and for files that are opened now and then: the
# page, a tokenizer, metrics of other workers.
_OTHERS: Final = 16
_OPEN: Final = Path("/dev/fd")
# Where the system does not list them.
_MOST_AT_START: Final = 64


def room_for(connections: int, *, spare: int) -> int:
    """Fits connections into the limit of this process, which is raised as far as the system lets it.

    Args:
        connections: The number that is wanted.
        spare: Connections beyond these.

    Returns:
        The number that fits, at most what is wanted.

    Raises:
        OptionError: If there is no room for one.
    """
    free = _free_descriptors(connections + spare)
    if free is None:
        return connections
    if free <= spare:
        raise OptionError(
            "connections", connections, "at most what `ulimit -n` leaves room for, which is none"
        )
    return min(connections, free - spare)


def _free_descriptors(wanted: int) -> int | None:
    """How many more files this process may open, after its limit was raised; None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    taken = _open_descriptors() + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < taken + wanted:
        soft = taken + wanted if hard == resource.RLIM_INFINITY else min(hard, taken + wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return None if soft == resource.RLIM_INFINITY else soft - taken


def _open_descriptors() -> int:
    try:
        return len(list(_OPEN.iterdir()))
    except OSError:
        return _MOST_AT_START
