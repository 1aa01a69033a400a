"""Model folders changed at random: refused with an E5Error, or opened with right vectors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.faults.fault import Ground, Outcome
from e5_onnx_perf.faults.program import Ended, module, start

_PROCESSES: Final = 2
# From "begin" to the end of one mutant, which takes a few hundredths on a quiet machine.
_HANGS_AFTER_S: Final = 120.0
# Until the first "begin": a process that imports everything on a busy machine.
_STARTS_WITHIN_S: Final = 900.0


def run_fault(ground: Ground, outcome: Outcome) -> None:
    """Opens as many changed folders as there are trials, in processes that take many each."""
    (ground.scratch / "original").symlink_to(ground.folder)
    with ThreadPoolExecutor(_PROCESSES) as pool:
        lanes = list(pool.map(lambda lane: _lane(ground, lane), range(_PROCESSES)))
    for row in (row for rows in lanes for row in rows):
        outcome.trials += 1
        outcome.seen[row.found] += 1
        outcome.harm += [] if row.harm is None else [row.harm]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A process's report on one mutant.

    Attributes:
        number: The mutant's.
        found: The event.
        harm: A sentence, None for no harm.
    """

    number: int
    found: str
    harm: str | None


def _lane(ground: Ground, lane: int) -> list[_Judged]:
    """Returns the rows of every second mutant. If a process dies, a new one resumes at the next mutant."""
    rows: list[_Judged] = []
    scratch, first = ground.scratch / f"mutant-{lane}", lane
    while first < ground.trials:
        rows += _worker(scratch, ground.folder, scratch, ground.seed, first, _PROCESSES, ground.trials)
        first = rows[-1].number + _PROCESSES
    return rows


def _worker(scratch: Path, *words: object) -> Iterator[_Judged]:
    """The rows of one process, with one for the mutant that it dies of or hangs at.

    Raises:
        WorkerError: If it dies before the first mutant.
    """
    said = scratch.with_suffix(".log")
    with said.open("w") as log:  # a pipe that nobody reads would fill
        process = start(module("fuzz_worker", *words), stderr=log)
    assert process.stdout is not None  # noqa: S101 - for the type checker
    hung, begun = threading.Event(), -1

    def stop() -> None:
        hung.set()
        process.kill()

    timer = threading.Timer(_STARTS_WITHIN_S, stop)
    timer.start()
    with process:
        for line in process.stdout:
            if not line.startswith("begin "):
                yield _Judged(**json.loads(line))
                continue
            begun = int(line.removeprefix("begin "))
            timer.cancel()
            timer = threading.Timer(_HANGS_AFTER_S, stop)
            timer.start()
    timer.cancel()
    if process.returncode == 0:
        return
    ended = Ended(process.returncode, said=said.read_text("utf-8", "replace"))
    if begun < 0:
        raise WorkerError("fuzz_worker", ended.crash or ended.last_line)
    crash = f"hung for {_HANGS_AFTER_S:.0f} s" if hung.is_set() else ended.crash
    yield _Judged(
        begun, "a hang" if hung.is_set() else "a crash", f"mutant {begun}: {crash or ended.last_line}"
    )
