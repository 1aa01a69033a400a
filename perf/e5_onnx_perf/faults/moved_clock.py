"""A program whose clock is off by the seconds that a file holds: `moved_clock FILE MODULE WORD...`.

Only the wall clock is moved, as the system's would be: `time.monotonic` never jumps.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path


def main() -> None:
    """Moves the clock and runs the module."""
    file, name, *words = sys.argv[1:]
    true = time.time_ns
    off = Path(file)

    def moved_ns() -> int:
        return true() + int(off.read_text("ascii")) * 10**9

    time.time_ns, time.time = moved_ns, lambda: moved_ns() / 1e9
    sys.argv = [name, *words]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
