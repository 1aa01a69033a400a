"""The cache of packed weights: made by several processes at once, by killed ones, and without room."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx import Embedder
from e5_onnx.prepacked.cache import PrepackedCache
from e5_onnx_export.arrays import Floats
from e5_onnx_perf.faults.fault import Ground, Outcome, near
from e5_onnx_perf.faults.program import end, kill, module, start, until
from e5_onnx_perf.faults.small_disk import limit_files, small_disk

_AT_ONCE: Final = 4
# Of the kills, those that strike just after the process begins to write.
_WHILE_MAKING: Final = 0.5
_UNFINISHED: Final = ".making-*"
_TWO_HOURS: Final = 7200.0


@dataclass(frozen=True, slots=True)
class _CachedModel:
    """A model folder, a cache for it, and what is right.

    Attributes:
        folder: The model folder.
        cache: The cache folder.
        texts: The texts that each process embeds.
        truth: Their vectors.
    """

    folder: Path
    cache: Path
    texts: Sequence[str]
    truth: Floats

    def start(self) -> subprocess.Popen[str]:
        """A process that is about to open the model."""
        process = start(module("embed_once", self.folder, self.cache, *self.texts), stdin=subprocess.PIPE)
        assert process.stdout is not None  # noqa: S101 - for the type checker
        process.stdout.readline()
        return process

    def is_being_made(self) -> bool:
        """Whether there is an unfinished entry."""
        return any(self.cache.rglob(_UNFINISHED))

    def judge(self, process: subprocess.Popen[str], outcome: Outcome, *, what: str) -> list[str]:
        """Waits for a process, and returns the warnings that it had; its vectors must be right."""
        ended = end(process, "go\n")
        if ended.code != 0:
            outcome.harm.append(f"{what}: {ended.crash or ended.last_line}")
            return []
        found = json.loads(ended.output.splitlines()[-1])
        outcome.expect(near(np.array(found["vectors"], np.float32), self.truth), f"{what}: wrong vectors")
        return list(found["warnings"])

    def sound_entries(self, outcome: Outcome, *, what: str) -> int:
        """How many entries there are; each must be whole."""
        listed = [entry for entry in PrepackedCache(self.cache).entries() if entry.entry is not None]
        for one in listed:
            whole = one.entry is not None and one.entry.is_sound(one.folder, whole=True)
            outcome.expect(whole, f"{what}: an entry is damaged")
        return len(listed)


def _models(ground: Ground) -> Iterator[_CachedModel]:
    texts = ground.texts(3)
    truth = ground.truth(texts)
    for number in range(ground.trials):
        yield _CachedModel(ground.folder, ground.scratch / f"cache-{number}", texts, truth)


def run_races(ground: Ground, outcome: Outcome) -> None:
    """Several processes open one model with an empty cache at once."""
    for model in _models(ground):
        what = model.cache.name
        processes = [model.start() for _ in range(_AT_ONCE)]
        for process in processes:  # they all stand at the same line
            _write_line(process)
        warned = [name for process in processes for name in model.judge(process, outcome, what=what)]
        outcome.expect(not warned, f"{what}: a warning: {warned[:1]}")
        entries = model.sound_entries(outcome, what=what)
        outcome.expect(entries == 1, f"{what}: {entries} entries")
        left = list(model.cache.rglob(_UNFINISHED))
        outcome.expect(not left, f"{what}: an unfinished entry is left")
        outcome.trials += 1
        outcome.seen[f"made by one of {_AT_ONCE}"] += 1


def _write_line(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None  # noqa: S101 - for the type checker
    process.stdin.write("go\n")
    process.stdin.flush()


def run_kills(ground: Ground, outcome: Outcome) -> None:
    """A process is killed while it makes the cache; the next ones find or make it."""
    seconds = _seconds(ground)
    for model in _models(ground):
        process = model.start()
        _write_line(process)
        if ground.chance.random() < _WHILE_MAKING:
            until(model.is_being_made, process)
            time.sleep(ground.chance.random() * 0.02)
        else:
            time.sleep(ground.chance.uniform(0, seconds))
        outcome.trials += process.poll() is None
        kill(process)
        unfinished = list(model.cache.rglob(_UNFINISHED))
        made = model.sound_entries(outcome, what=model.cache.name) if model.cache.exists() else 0
        outcome.seen["made" if made else "half made" if unfinished else "not begun"] += 1
        for folder in unfinished:  # as if it had been killed two hours ago
            earlier = folder.stat().st_mtime - _TWO_HOURS
            os.utime(folder, (earlier, earlier))
        warned = model.judge(model.start(), outcome, what=model.cache.name)
        outcome.expect(not warned, f"{model.cache.name}: {warned[:1]} after the kill")
        entries = model.sound_entries(outcome, what=model.cache.name)
        outcome.expect(entries == 1, f"{model.cache.name}: {entries} entries after the kill")
        left = [] if made else list(model.cache.rglob(_UNFINISHED))
        outcome.expect(not left, f"{model.cache.name}: what the killed process left is still there")


def _seconds(ground: Ground) -> float:
    """How long a process needs that makes the cache."""
    model = _CachedModel(ground.folder, ground.scratch / "first", ["text"], ground.truth(["text"]))
    process, started = model.start(), time.monotonic()
    model.judge(process, Outcome(), what="first")
    return time.monotonic() - started


def run_full_disks(ground: Ground, outcome: Outcome) -> None:
    """The cache has less room than it needs."""
    needed = _needed(ground)
    for model in _models(ground):
        room = int(ground.chance.uniform(0, 1.3) * needed)
        what = f"{room:,} of {needed:,} bytes"
        with small_disk(model.cache, room) as mounted:
            process = model.start()
            if not mounted:
                limit_files(process.pid, room)
            warned = model.judge(process, outcome, what=what)
            entries = model.sound_entries(outcome, what=what)
            left = list(model.cache.rglob(_UNFINISHED))
        outcome.expect(set(warned) <= {"CacheWarning"}, f"{what}: {warned}")
        outcome.expect(not left, f"{what}: an unfinished entry is left")
        outcome.expect(entries == (not warned), f"{what}: {entries} entries and {len(warned)} warnings")
        outcome.trials += 1
        outcome.seen["a warning" if warned else "made"] += 1


def _needed(ground: Ground) -> int:
    """Bytes of an entry."""
    cache = ground.scratch / "needed"
    with Embedder(ground.folder, cache_dir=cache):
        return sum(entry.bytes for entry in PrepackedCache(cache).entries())
