"""Whether a machine was busy with something else while it was measured, as Linux counts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

# Of the first line of /proc/stat (man 5 proc): idle and iowait are the fourth and fifth value, the eighth is
# what other virtual machines took, and those after it are counted in the first two already.
_IDLE: Final = (3, 4)
_COUNTED: Final = 8


def busy_seconds(stat: Path = Path("/proc/stat")) -> float:
    """CPU seconds that all programs together, and other virtual machines, have taken since the start."""
    ticks = [int(value) for value in stat.read_text("ascii").split("\n", 1)[0].split()[1:]]
    busy = sum(value for index, value in enumerate(ticks[:_COUNTED]) if index not in _IDLE)
    return busy / os.sysconf("SC_CLK_TCK")


def share_of_others(*, busy: float, ours: float, elapsed: float) -> float:
    """The share of the machine's CPU time, 0 to 1, that went to other programs.

    Args:
        busy: CPU seconds that all programs took.
        ours: CPU seconds that the measured ones took.
        elapsed: Seconds that passed.
    """
    return max(0.0, busy - ours) / (elapsed * (os.cpu_count() or 1))
