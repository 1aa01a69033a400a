"""`e5-export` killed at random moments, with and without the replacement of a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx import E5Error, verify_folder
from e5_onnx.model_folder.folder import open_folder
from e5_onnx_perf.faults.checkpoint import write_tiny_checkpoint
from e5_onnx_perf.faults.fault import Ground, Outcome
from e5_onnx_perf.faults.program import e5_export, finish, kill, run_program, start, until

# Of the kills, those that strike while files are being put in their places, which is soon over.
_AT_THE_END: Final = 0.4


@dataclass(frozen=True, slots=True)
class _Sources:
    """Two checkpoints and the fingerprints of their exports: an old folder and the new one."""

    old: Path
    new: Path
    old_export: str
    new_export: str


def run_fault(ground: Ground, outcome: Outcome) -> None:
    """Kills exports; every second one is to replace a folder."""
    sources, seconds = _sources(ground.scratch, ground.folder)
    for number in range(ground.trials):
        trial = _ExportTrial(number, ground.scratch / f"trial-{number}" / "out", sources, outcome)
        trial.out.parent.mkdir()
        if trial.forced:
            finish(_command(sources.old, trial.out))
        outcome.trials += _kill_one(trial, ground.chance, seconds)
        outcome.seen[trial.look()] += 1
        trial.export_again()


def _sources(scratch: Path, model: Path) -> tuple[_Sources, float]:
    old, new = (write_tiny_checkpoint(scratch / f"ck-{seed}", model=model, seed=seed) for seed in (1, 2))
    finish(_command(old, scratch / "old"))
    started = time.monotonic()
    finish(_command(new, scratch / "new"))
    seconds = time.monotonic() - started
    fingerprints = [open_folder(scratch / name).manifest.fingerprint for name in ("old", "new")]
    return _Sources(old, new, *fingerprints), seconds


def _command(source: Path, out: Path, *, force: bool = False) -> Sequence[str]:
    words = [source, out, "--recipe", "e5-instruct", "--reference", "numpy", "--no-lean"]
    return e5_export(*words, *(["--force"] if force else []))


@dataclass(frozen=True, slots=True)
class _ExportTrial:
    """One kill.

    Attributes:
        number: The number of the trial.
        out: The output folder of the export.
        sources: The checkpoints to export.
        outcome: The record of harm.
    """

    number: int
    out: Path
    sources: _Sources
    outcome: Outcome

    @property
    def forced(self) -> bool:
        """Whether there is a folder to be replaced."""
        return self.number % 2 == 1

    def look(self) -> str:
        """The state after the kill, in some words."""
        if not self.out.exists():
            # Moved aside: the next export moves it back.
            aside = any(self.out.parent.glob(".out.replaced-*/e5.json"))
            self._expect(aside or not self.forced, "the old folder is gone")
            return "the old folder moved aside" if aside else "no folder"
        try:
            verify_folder(self.out)
        except E5Error as error:
            self._expect(False, f"the folder is not whole: {error}")
            return "half a folder"
        found = open_folder(self.out).manifest.fingerprint
        known = {self.sources.old_export: "the old folder", self.sources.new_export: "the new folder"}
        self._expect(found in known, "the folder is of neither model")
        return known.get(found, "another folder")

    def export_again(self) -> None:
        """The next export succeeds and leaves one folder."""
        ended = run_program(_command(self.sources.new, self.out, force=True))
        self._expect(ended.code == 0, f"the next export failed: {ended.crash or ended.last_line}")
        left = sorted(path.name for path in self.out.parent.iterdir())
        self._expect(left == ["out"], f"the next export left {left}")
        if ended.code == 0:
            found = open_folder(self.out).manifest.fingerprint
            self._expect(found == self.sources.new_export, "the next export wrote another model")

    def _expect(self, holds: bool, otherwise: str) -> None:
        trial = f"kill {self.number}, force={self.forced}"
        self.outcome.expect(holds, f"{trial}: {otherwise}")


def _kill_one(trial: _ExportTrial, chance: np.random.Generator, seconds: float) -> bool:
    """Whether the kill came before the end."""
    process = start(_command(trial.sources.new, trial.out, force=trial.forced))
    if chance.random() < _AT_THE_END:
        until(lambda: any(trial.out.parent.glob(".out.partial-*/e5.json")), process)
        time.sleep(chance.random() * 0.05)
    else:
        time.sleep(chance.uniform(0, seconds))
    running = process.poll() is None
    kill(process)
    return running
