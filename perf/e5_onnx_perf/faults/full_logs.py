"""Programs whose stdout or stderr is a full disk: what they were asked for is done, or they do not say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from e5_onnx import E5Error, verify_folder
from e5_onnx_export.arrays import Floats
from e5_onnx_perf.faults.checkpoint import write_tiny_checkpoint
from e5_onnx_perf.faults.fault import Ground, Outcome, near
from e5_onnx_perf.faults.program import e5, e5_export, end, start
from e5_onnx_perf.serve_load.servers import ServerProcess, ask_vectors, free_port

_FULL: Final = Path("/dev/full")


@dataclass(frozen=True, slots=True)
class _Case:
    """A program.

    Attributes:
        name: For sentences.
        command: The command line.
        stream: The stream that goes to the full disk.
        is_done: Whether what it was asked for is there and right; None where that is what it prints.
    """

    name: str
    command: Sequence[str]
    stream: str
    is_done: Callable[[], bool] | None


def run_fault(ground: Ground, outcome: Outcome) -> None:
    """Runs every program with a full stdout or stderr."""
    for number in range(ground.trials):
        place = ground.scratch / str(number)
        place.mkdir()
        for case in _cases(ground, place):
            _judge(case, outcome)
        for workers in (1, 2):
            _judge_server(ground, workers, outcome)


def _cases(ground: Ground, place: Path) -> list[_Case]:
    texts, source = place / "texts.txt", write_tiny_checkpoint(place / "ck", model=ground.folder, seed=1)
    listed = ground.texts(200)
    texts.write_text("".join(text + "\n" for text in listed), "utf-8")
    truth, folder, role = ground.truth(listed), ground.folder, ("--role", "document")
    array, parts, exported = place / "out.npy", place / "out", place / "exported"
    embed, bulk = e5("embed", folder, texts, *role), e5("bulk", folder, texts, *role)
    export = e5_export(source, exported, "--recipe", "e5-instruct", "--reference", "numpy", "--no-lean")
    return [
        _Case("embed to a file", [*embed, "--output", str(array)], "stderr", lambda: _array(array, truth)),
        _Case("bulk", [*bulk, "--output", str(parts)], "stderr", lambda: _parts(parts, truth)),
        _Case("info", e5("info", folder), "stdout", None),
        _Case("search", e5("search", folder, texts, "moon"), "stdout", None),
        _Case("export, its report", export, "stdout", None),
        _Case("export, its steps", [*export, "--force"], "stderr", lambda: _sound(exported)),
    ]


def _judge(case: _Case, outcome: Outcome) -> None:
    with _FULL.open("w") as full:
        to_stdout = case.stream == "stdout"
        process = start(case.command, stdout=full) if to_stdout else start(case.command, stderr=full)
        ended = end(process)
    outcome.trials += 1
    if ended.crash is not None:
        outcome.harm.append(f"{case.name}, full {case.stream}: {ended.crash}")
    elif case.is_done is None:
        outcome.expect(ended.code == 1, f"{case.name}, full {case.stream}: exit code {ended.code}, not 1")
        outcome.seen["an error, as nothing could be printed"] += 1
    else:
        done = case.is_done()
        outcome.expect(done, f"{case.name}, full {case.stream}: stopped by its log, exit code {ended.code}")
        outcome.expect(ended.code == 0 or not done, f"{case.name}: done, and exit code {ended.code}")
        outcome.seen["done without a log"] += done


def _judge_server(ground: Ground, workers: int, outcome: Outcome) -> None:
    """`e5 serve` with a full stderr answers as it does with a log, and ends with 0."""
    texts, port = ground.texts(4), free_port()
    words = ("--default-role", "document", "--port", port, "--workers", workers, "--log-level", "debug")
    with (
        _FULL.open("w") as full,
        ServerProcess("e5 serve", e5("serve", ground.folder, *words), port, stderr=full) as server,
    ):
        found = ask_vectors(server.url, texts)
        code = server.stop()
    outcome.trials += 1
    name = f"serve, {workers} workers, full stderr"
    outcome.expect(near(found, ground.truth(texts)), f"{name}: wrong vectors")
    outcome.expect(code == 0, f"{name}: exit code {code}")
    outcome.seen["served without a log"] += 1


def _array(file: Path, truth: Floats) -> bool:
    return file.exists() and near(np.load(file), truth)


def _parts(folder: Path, truth: Floats) -> bool:
    parts = sorted(folder.glob("part-*.parquet"))
    rows = [row for part in parts for row in pq.read_table(part).column("embedding").to_pylist()]
    return near(np.array(rows, np.float32), truth)


def _sound(folder: Path) -> bool:
    try:
        verify_folder(folder)
    except E5Error:
        return False
    return True
