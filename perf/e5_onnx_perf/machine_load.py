"""Whether a machine was busy with something else while it was measured, as Linux counts it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# Of the first line of /proc/stat (man 5 proc): idle and iowait are the fourth and fifth value, the eighth is
# what other virtual machines took, and those after it are counted in the first two already.
_IDLE: Final = (3, 4)
_COUNTED: Final = 8
# Of /proc/PID/stat after the name in brackets: the process's own user and system time.
_OWN: Final = slice(11, 13)
_STILL_S: Final = 0.03  # three of the kernel's ticks
_LONGEST_S: Final = 10.0


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


def wait_until_still(processes: Sequence[int], *, longest: float = _LONGEST_S) -> bool:
    """Waits until processes take no CPU time: threads that spin after their work have stopped.

    Args:
        processes: Their ids.
        longest: Seconds after which it gives up.

    Returns:
        Whether they stand still.
    """
    end, before = time.monotonic() + longest, _ticks(processes)
    while time.monotonic() < end:
        time.sleep(_STILL_S)
        now = _ticks(processes)
        if now == before:
            return True
        before = now
    return False


def _ticks(processes: Sequence[int]) -> int:
    stats = (Path(f"/proc/{process}/stat").read_text("utf-8") for process in processes)
    return sum(int(value) for stat in stats for value in stat.rpartition(")")[2].split()[_OWN])
