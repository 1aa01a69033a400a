"""As many connections as the system gives file descriptors for, and one line when they run out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from e5_onnx.errors import OptionError

_LOG: Final = logging.getLogger("e5_onnx.serve")

# For files that are opened now and then: the page, a tokenizer, metrics of other workers.
_OTHERS: Final = 16
# Connections that the system holds until they are accepted; asyncio accepts as many at once.
_LONGEST_BACKLOG: Final = 128
_QUIET_S: Final = 60.0

_OPEN: Final = Path("/dev/fd")
# Where the system does not list them.
_MOST_AT_START: Final = 64


@dataclass(frozen=True, slots=True)
class Room:
    """What fits.

    Attributes:
        connections: Open connections.
        backlog: Connections that wait to be accepted.
    """

    connections: int
    backlog: int


def room_for(connections: int, *, spare: int) -> Room:
    """Fits connections into the limit of this process, which is raised as far as the system lets it.

    Args:
        connections: As many as are wanted.
        spare: Connections beyond these.

    Raises:
        OptionError: If there is no room for one.
    """
    backlog = min(_LONGEST_BACKLOG, connections)
    free = _free_descriptors(connections + backlog + spare)
    if free is None or free >= connections + backlog + spare:
        return Room(connections, backlog)
    fitting = (free - spare) // 2
    if fitting < 1:
        raise OptionError(
            "connections", connections, "at most what `ulimit -n` leaves room for, which is none"
        )
    backlog = min(_LONGEST_BACKLOG, fitting)
    return Room(min(connections, free - spare - backlog), backlog)


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


def quiet_handler(clock: Callable[[], float]) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """An event loop's handler of errors that nobody else took.

    asyncio tries to accept each connection of a backlog when there is no descriptor for one, and tells each.

    Args:
        clock: Seconds that never run backwards.
    """
    told_at = -_QUIET_S

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal told_at
        message, error = context["message"], context.get("exception")
        if "out of system resource" not in message:
            _LOG.error("unexpected error", exc_info=error)
        elif clock() - told_at >= _QUIET_S:
            told_at = clock()
            _LOG.error(
                "out of file descriptors: new connections wait",
                extra={"errno": getattr(error, "errno", None)},
            )

    return handle
