"""`e5 bulk` in a process of its own, as its user runs it, watched from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.bulk.journal import read_journal
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx_perf.errors import WorkerError
from e5_onnx_perf.process_memory import Memory, memory

_EVERY_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class EmbedCommand:
    """A command line of `e5 bulk`.

    Attributes:
        model: The model folder.
        corpus: The input.
        output: The data set.
        shard_rows: Done or not done together.
    """

    model: Path
    corpus: Path
    output: Path
    shard_rows: int

    @property
    def words(self) -> Sequence[str]:
        """The command line, with this Python."""
        return [
            sys.executable, "-m", "e5_onnx.cli", "bulk", str(self.model), str(self.corpus),
            "--role", "document", "--id-column", "doc", "--output", str(self.output),
            "--shard-rows", str(self.shard_rows), "--no-progress",
        ]  # fmt: skip

    @property
    def parts(self) -> Sequence[Path]:
        """The parts of the output so far: a file a shard, in order."""
        return sorted(self.output.glob("part-*.parquet"))

    @property
    def tokens(self) -> int:
        """The number of tokens of the shards that are done."""
        return sum(receipt.tokens for receipt in read_journal(OutputLayout(self.output).journal))

    def start(self) -> subprocess.Popen[str]:
        """Starts it; what it says goes into a pipe."""
        return subprocess.Popen(self.words, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Waits for its end.

        Raises:
            WorkerError: If it failed.
        """
        _, said = process.communicate()
        if process.returncode:
            raise WorkerError("e5 bulk", said.strip().splitlines()[-1] if said.strip() else "it was killed")
        return said


@dataclass(frozen=True, slots=True)
class Moment:
    """A running command, looked at.

    Attributes:
        seconds: Since its start.
        shards: The number of shards so far.
        held: Its memory.
    """

    seconds: float
    shards: int
    held: Memory


def watch(command: EmbedCommand) -> tuple[list[Moment], float]:
    """Runs a command to its end.

    Returns:
        How it was at many moments, and the seconds it took.

    Raises:
        WorkerError: If it failed.
    """
    moments: list[Moment] = []
    started = time.perf_counter()
    process = command.start()
    while process.poll() is None:
        try:
            moments.append(Moment(time.perf_counter() - started, len(command.parts), memory(process.pid)))
        except (OSError, TypeError):
            break  # it ended while it was looked at
        time.sleep(_EVERY_SECONDS)
    command.finish(process)
    return moments, time.perf_counter() - started
