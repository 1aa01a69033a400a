"""The wall clock is moved by a day, back and forward, while a program runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx_perf.bulk_runs.corpus import write_corpus
from e5_onnx_perf.bulk_runs.embed_process import EmbedCommand
from e5_onnx_perf.faults.bulk_kills import content
from e5_onnx_perf.faults.fault import Ground, Outcome, near
from e5_onnx_perf.faults.program import e5, end, held, let_go_on, module, run_program, start, until
from e5_onnx_perf.serve_load.servers import ServerProcess, ask_vectors, free_port

_DAY_S: Final = 86_400
_JUMPS_S: Final = (_DAY_S, -_DAY_S, 0)
_SHARD_ROWS: Final = 20
_ROWS: Final = 240


@dataclass(frozen=True, slots=True)
class _Clock:
    """The wall clock of some programs.

    Attributes:
        file: By how many seconds it is off.
    """

    file: Path

    def program(self, command: Sequence[str]) -> list[str]:
        """The command line of a program, `python -m MODULE WORD...`, with this clock."""
        _, _, *words = command
        return module("moved_clock", self.file, *words)

    def move(self, seconds: int) -> None:
        """Sets by how much it is off."""
        beside = self.file.with_name("clock-next")
        beside.write_text(str(seconds), "ascii")
        beside.replace(self.file)


def _clock(ground: Ground) -> _Clock:
    clock = _Clock(ground.scratch / "clock")
    clock.move(0)
    return clock


def run_in_bulk(ground: Ground, outcome: Outcome) -> None:
    """`e5 bulk` writes the bytes of a run with a steady clock."""
    corpus, clock = ground.scratch / "corpus.parquet", _clock(ground)
    write_corpus(corpus, _ROWS, model=ground.folder, data=None)
    steady = EmbedCommand(ground.folder, corpus, ground.scratch / "steady", _SHARD_ROWS)
    steady.finish(steady.start())
    for number in range(ground.trials):
        moved = EmbedCommand(ground.folder, corpus, ground.scratch / f"moved-{number}", _SHARD_ROWS)
        process = start(clock.program(moved.words))
        for shards, seconds in enumerate(_JUMPS_S, 1):
            until(lambda shards=shards, moved=moved: len(moved.parts) >= shards, process)  # type: ignore[misc]
            stopped = held(process)
            clock.move(seconds)
            if stopped:
                let_go_on(process)
                outcome.seen["jumps while it ran"] += 1
        ended = end(process)
        outcome.trials += 1
        outcome.expect(ended.code == 0, f"bulk {number}: {ended.crash or ended.last_line}")
        outcome.expect(content(moved) == content(steady), f"bulk {number}: other bytes")


def run_cache(ground: Ground, outcome: Outcome) -> None:
    """A process makes an entry while another, a day ahead, looks for the files of killed processes."""
    texts, clock = ground.texts(3), _clock(ground)
    truth = ground.truth(texts)
    for number in range(ground.trials):
        cache, ahead = ground.scratch / f"cache-{number}", _JUMPS_S[number % len(_JUMPS_S)]
        command = module("embed_once", ground.folder, cache, *texts)
        slow = start(clock.program(command), stdin=subprocess.PIPE)
        _go(slow)
        until(lambda cache=cache: any(cache.rglob(".making-*")), slow)  # type: ignore[misc]
        stopped = held(slow)
        clock.move(ahead)
        quick = start(clock.program(command), stdin=subprocess.PIPE)
        ends = [("the second", end(quick, "go\n"))]
        if stopped:
            let_go_on(slow)
        ends.append(("the first", end(slow)))
        clock.move(0)
        outcome.trials += 1
        outcome.seen["made at once" if stopped else "made in turn"] += 1
        for what, ended in ends:
            outcome.expect(ended.code == 0, f"{what} (trial {number}): {ended.crash or ended.last_line}")
            if ended.code == 0:
                found = np.array(json.loads(ended.output.splitlines()[-1])["vectors"], np.float32)
                outcome.expect(near(found, truth), f"{what} (trial {number}): wrong vectors")
        checked = run_program(e5("cache", "verify", "--cache-dir", cache))
        outcome.expect(checked.code == 0, f"trial {number}: {checked.output.strip() or checked.last_line}")


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101 - for the type checker
    process.stdin.write("go\n")
    process.stdin.flush()


def run_server(ground: Ground, outcome: Outcome) -> None:
    """`e5 serve` answers with the same vectors, and stops when it is asked to."""
    texts, clock = ground.texts(4), _clock(ground)
    truth = ground.truth(texts)
    port = free_port()
    command = e5(
        "serve", ground.folder, "--default-role", "document", "--port", port, "--log-level", "warning"
    )
    with ServerProcess("e5 serve", clock.program(command), port) as server:
        for number in range(ground.trials):
            clock.move(_JUMPS_S[number % len(_JUMPS_S)])
            outcome.trials += 1
            found = ask_vectors(server.url, texts)
            outcome.expect(near(found, truth), f"after jump {number}: wrong vectors")
            outcome.seen["answered"] += 1
        code = server.stop()
    outcome.expect(code == 0, f"the server ended with {code}")
