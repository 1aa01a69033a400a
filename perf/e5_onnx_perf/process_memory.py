"""What a process holds, as Linux counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KB: Final = 1024
_FIELDS: Final = {"VmRSS": "resident_mb", "RssAnon": "anonymous_mb", "VmHWM": "peak_mb"}


@dataclass(frozen=True, slots=True)
class Memory:
    """In 10^6 bytes.

    Attributes:
        resident_mb: All of it, mapped files included.
        anonymous_mb: The heap: what cannot be dropped and read again.
        peak_mb: The largest `resident_mb` since the start or the last reset.
    """

    resident_mb: float
    anonymous_mb: float
    peak_mb: float


def memory(process: int | None = None) -> Memory:
    """Reads /proc/PID/status of a process; None is this one."""
    found = {}
    for line in Path("/proc", str(process or "self"), "status").read_text("ascii").splitlines():
        name, _, value = line.partition(":")
        if name in _FIELDS:
            found[_FIELDS[name]] = int(value.split()[0]) * _KB / 1e6
    return Memory(**found)


def proportional_mb() -> float:
    """Resident memory with every shared page divided among the processes that map it, in 10^6 bytes.

    Summed over processes it says what they take together (man 5 proc, Pss).
    """
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * _KB / 1e6
    raise AssertionError  # every kernel that has the file writes the line


def reset_peak() -> None:
    """Makes the peak begin again at what is resident now (man 5 proc, clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
