"""`e5 bulk` killed again and again over one run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Final

from e5_onnx.bulk.layout import OutputLayout
from e5_onnx_perf.bulk_runs.corpus import write_corpus
from e5_onnx_perf.bulk_runs.embed_process import EmbedCommand, watch
from e5_onnx_perf.faults.fault import Ground, Outcome
from e5_onnx_perf.faults.program import kill, start, until

_SHARD_ROWS: Final = 20
_SHARDS_A_KILL: Final = 8
# Of the kills, those that strike while the model is loaded or the input is looked through.
_AT_THE_START: Final = 0.3


def run_fault(ground: Ground, outcome: Outcome) -> None:
    """Kills runs until there were enough kills: the end must be the bytes of a run that nobody disturbed."""
    corpus = ground.scratch / "corpus.parquet"
    write_corpus(corpus, _SHARD_ROWS * _SHARDS_A_KILL * (ground.trials + 1), model=ground.folder, data=None)
    whole = EmbedCommand(ground.folder, corpus, ground.scratch / "whole", _SHARD_ROWS)
    moments, seconds = watch(whole)
    start_s = next((moment.seconds for moment in moments if moment.shards), seconds)
    for number in count():
        killed = replace(whole, output=ground.scratch / f"killed-{number}")
        while outcome.trials < ground.trials and (when := _kill_one(killed, ground, start_s=start_s)):
            outcome.seen[when] += 1
            outcome.trials += 1
        # A run that ended before it was killed is compared, and another takes the kills that are left.
        killed.finish(killed.start())
        outcome.expect(content(killed) == content(whole), f"{killed.output.name} holds other bytes")
        if outcome.trials == ground.trials:
            return


def _kill_one(command: EmbedCommand, ground: Ground, *, start_s: float) -> str | None:
    """Kills a run at a random moment, and says which; None if it had ended before."""
    before = len(command.parts)
    process = start(command.words)
    if ground.chance.random() < _AT_THE_START:
        time.sleep(ground.chance.uniform(0, start_s))
    else:
        wanted = before + int(ground.chance.integers(1, 2 * _SHARDS_A_KILL))
        until(lambda: len(command.parts) >= wanted, process)
        time.sleep(ground.chance.random() * 0.02)
    if process.poll() is not None:
        command.finish(process)
        return None
    kill(process)
    return "before any new shard" if len(command.parts) == before else "after new shards"


def content(command: EmbedCommand) -> Mapping[str, bytes]:
    """The bytes of each part of an output, and of its rejected rows."""
    found = {part.name: part.read_bytes() for part in command.parts}
    return found | {"rejects": OutputLayout(command.output).rejects.read_bytes()}
