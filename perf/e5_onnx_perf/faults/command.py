"""`e5-perf faults`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from e5_onnx.errors import OptionError
from e5_onnx.model_folder.folder import open_folder
from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.accuracy_results import write_values
from e5_onnx_perf.faults import (
    bulk_kills,
    cache_faults,
    changed_input,
    clock_jumps,
    export_kills,
    folder_fuzz,
    full_logs,
    model_faults,
)
from e5_onnx_perf.faults.fault import Fault, Ground, Outcome

TEXT: Final = """\
Causes the faults of production, and looks for harm.

Each row of the table is one kind of fault. Harm is a wrong vector, half a file under its name, a hang, a
crash, or an error without a message. The exit code is 1 if there is any."""

EXAMPLE: Final = "  e5-perf faults e5-small-int8 --only export-kills,full-logs --out faults"

FAULTS: Final = {
    "export-kills": Fault("`e5-export` is killed at random moments", 50, export_kills.run_fault),
    "bulk-kills": Fault("`e5 bulk` is killed at random moments", 50, bulk_kills.run_fault),
    "bulk-input": Fault("the input of `e5 bulk` is changed while it runs", 30, changed_input.run_fault),
    "full-logs": Fault("stdout or stderr is a full disk", 1, full_logs.run_fault),
    "cache-races": Fault("four processes make the cache at once", 10, cache_faults.run_races),
    "cache-kills": Fault("a process is killed while it makes the cache", 25, cache_faults.run_kills),
    "cache-full": Fault("the cache has less room than it needs", 25, cache_faults.run_full_disks),
    "clock-bulk": Fault("the clock jumps by a day while `e5 bulk` runs", 10, clock_jumps.run_in_bulk),
    "clock-cache": Fault("the clock jumps by a day while the cache is made", 10, clock_jumps.run_cache),
    "clock-server": Fault("the clock jumps by a day while `e5 serve` runs", 50, clock_jumps.run_server),
    "forks": Fault("a process forks while it has an open model", 50, model_faults.run_forks),
    "process-pools": Fault("an open model is sent to process pools", 50, model_faults.run_pools),
    "async-tasks": Fault("tasks of asyncio share a model that is closed", 50, model_faults.run_tasks),
    "interrupts": Fault("KeyboardInterrupt, whatever a model is doing", 50, model_faults.run_interrupts),
    "folder-fuzz": Fault("a model folder is changed at random", 50_000, folder_fuzz.run_fault),
}
_RESULTS: Final = "faults.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a model folder")
    parser.add_argument(
        "--only", metavar="NAMES", help=f"faults to try, of {', '.join(FAULTS)} (default: all)"
    )
    parser.add_argument(
        "--trials", type=int, metavar="N", help="trials of each fault (default: its own number)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all random choices (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder for {_RESULTS} (default: none)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command; 1 if anything was harmed."""
    names = _names(parsed.only)
    if parsed.trials is not None and parsed.trials < 1:
        raise OptionError("trials", parsed.trials, "at least 1")
    open_folder(parsed.folder)
    if parsed.out is not None:
        parsed.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names:
        TerminalProgress().step(name)
        rows.append(_try(name, parsed))
        sys.stdout.write(_line(rows[-1]))
    if parsed.out is not None:
        write_values({"faults": rows}, parsed.out / _RESULTS)
    return int(any(row["harm"] for row in rows))


def _names(given: str | None) -> list[str]:
    names = list(FAULTS) if given is None else given.split(",")
    if unknown := [name for name in names if name not in FAULTS]:
        raise OptionError("only", unknown[0], f"of {', '.join(FAULTS)}")
    return names


def _try(name: str, parsed: argparse.Namespace) -> dict[str, Any]:
    fault, outcome, started = FAULTS[name], Outcome(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="e5-faults-", ignore_cleanup_errors=True) as scratch:
        trials = parsed.trials or fault.trials
        fault.run(Ground(parsed.folder.absolute(), Path(scratch), trials, parsed.seed), outcome)
    return {
        "fault": name,
        "text": fault.text,
        "trials": outcome.trials,
        "seen": dict(sorted(outcome.seen.items())),
        "harm": outcome.harm,
        "seconds": round(time.monotonic() - started, 1),
    }


def _line(row: dict[str, Any]) -> str:
    seen = ", ".join(f"{count} {what}" for what, count in row["seen"].items())
    said = "".join(f"\n  HARM: {sentence}" for sentence in row["harm"])
    return f"{row['fault']:<15} {row['trials']:>6} trials, {len(row['harm'])} harmed: {seen}{said}\n"
