"""The memory of this process, and the release of its unused part."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")


def resident_mb(statm: Path = _STATM) -> float | None:
    """Resident memory in 10^6 bytes; None where the system does not say, as macOS and Windows."""
    try:
        pages = int(statm.read_text("ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def settled_mb(limit_mb: float) -> float:
    """Resident memory in 10^6 bytes. Beyond a limit, unused heap is released first."""
    held = resident_mb() or 0.0
    if held <= limit_mb:
        return held
    give_back()
    return resident_mb() or 0.0


def may_hold(more_mb: float, *, limit_mb: float | None) -> bool:
    """Whether there is room for so much more; always, without a limit."""
    return limit_mb is None or settled_mb(limit_mb - more_mb) + more_mb <= limit_mb


def give_back() -> None:
    """Has the C library give free memory back to the system, where it is glibc's, which keeps it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
