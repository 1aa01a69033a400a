"""From nothing to the first vector in a fresh process, the model's files in the page cache and not.

`python -m e5_onnx_perf.speed.cold_start SPEC`, where SPEC is an EngineSpec in JSON, embeds one text.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.speed.engine import EngineSpec, import_engine

_MODULE: Final = "e5_onnx_perf.speed.cold_start"
_TEXT: Final = "How much notice must a tenant give?"


def measure_cold_start(spec: EngineSpec, *, files: Sequence[Path], rounds: int) -> dict[str, float]:
    """Starts the engine again and again.

    Args:
        spec: The engine.
        files: The files of the model; dropped from the page cache before every second start.
        rounds: Starts of each kind.

    Returns:
        Median seconds from the start of the process to its end: `warm_s`, and `cold_s` with the model's
        files, though not the libraries, out of the page cache.

    Raises:
        WorkerError: If it fails.
    """
    found: dict[str, list[float]] = {"warm_s": [], "cold_s": []}
    _start(spec)
    for _ in range(rounds):
        found["warm_s"].append(_start(spec))
        for file in files:
            _forget(file)
        found["cold_s"].append(_start(spec))
    return {name: round(median(seconds), 3) for name, seconds in found.items()}


def _start(spec: EngineSpec) -> float:
    command = [sys.executable, "-m", _MODULE, json.dumps(asdict(spec))]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode:
        raise WorkerError(spec.name, (done.stderr.strip().splitlines() or ["it failed"])[-1])
    return time.perf_counter() - started


def _forget(file: Path) -> None:
    """Drops a file from the page cache, as far as the system obeys."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    import_engine(EngineSpec(**json.loads(sys.argv[1])))().ready([_TEXT])()
    sys.stdout.flush()
    # What interpreters and libraries do on leaving is not what is measured.
    os._exit(0)
