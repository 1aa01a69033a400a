"""How much memory this process holds."""

from __future__ import annotations

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
