"""A process that opens changed folders: `fuzz_worker FOLDER SCRATCH SEED FIRST STEP END`.

Writes "begin NUMBER" before and a JSON object of `number`, `found` and `harm` after each of the numbers.
One finding is repeated with FIRST as its number, STEP 1 and END one more.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx import E5Error, Embedder, verify_folder
from e5_onnx_export.arrays import Floats
from e5_onnx_perf.faults.fault import near
from e5_onnx_perf.faults.folder_mutants import Mutant, make_mutant, restore

_TEXTS: Final = ("moon", "the river is wide")
_MB: Final = 1 << 20
# Beyond what the process holds after it has opened the folder as it is.
MEMORY_LIMIT_MB: Final = 512
# Of the CPU, for one mutant; the folder itself takes a hundredth.
CPU_LIMIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens a folder in three ways.

    Attributes:
        folder: The folder of the mutant.
        truth: The vectors of the unchanged folder, float32 [texts, dimension].
        fingerprint: The fingerprint of the unchanged folder.
    """

    folder: Path
    truth: Floats
    fingerprint: str

    def is_right(self, *, verify: bool = False, fingerprint: str | None = None) -> bool:
        """Whether an Embedder gives the vectors of the unchanged folder."""
        with Embedder(self.folder, threads=1, verify=verify, fingerprint=fingerprint) as model:
            return near(model.embed_documents(list(_TEXTS)), self.truth)

    def look(self, mutant: Mutant) -> tuple[str, str | None]:
        """The event, and the harm, None for none."""
        plain = _outcome(self.is_right)
        if plain == "refused":
            return "refused", None
        if plain == "other vectors":
            # New hashes make a new model: only a pin tells.
            if not mutant.resealed and _outcome(lambda: self.is_right(verify=True)) == "other vectors":
                return "other vectors", "verify=True opens it and gives other vectors"
            if _outcome(lambda: self.is_right(fingerprint=self.fingerprint)) == "other vectors":
                return "other vectors", "a pinned fingerprint opens it and gives other vectors"
            return ("another model with hashes of its own" if mutant.resealed else "found by verify"), None
        # verify_folder reads golden.npz too.
        _outcome(self._verify)
        return "right vectors", None

    def _verify(self) -> bool:
        verify_folder(self.folder, threads=1)
        return True


def _outcome(attempt: Callable[[], bool]) -> str:
    try:
        return "right vectors" if attempt() else "other vectors"
    except E5Error:
        return "refused"


def main() -> None:
    """Does the numbers from FIRST to END, each STEP."""
    warnings.simplefilter("ignore")  # warnings are no refusal
    folder, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    rows = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what native code prints is none of the rows
    seed, first, step, end = map(int, sys.argv[3:])
    original = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(folder, scratch)
    with Embedder(folder, threads=1) as model:
        truth, fingerprint = model.embed_documents(list(_TEXTS)), model.fingerprint
    opener, held = Opener(scratch, truth, fingerprint), _peak_mb()
    for number in range(first, end, step):
        rows.write(f"begin {number}\n")
        mutant = make_mutant(original, seed, number)
        mutant.write(scratch, original)
        found, harm = judge_mutant(opener, mutant)
        if harm is None and _peak_mb() - held > MEMORY_LIMIT_MB:
            harm = f"it took {_peak_mb() - held:.0f} MB"
        what = f"mutant {number} ({', '.join(mutant.done)}{'; new hashes' if mutant.resealed else ''})"
        rows.write(json.dumps({"number": number, "found": found, "harm": harm and f"{what}: {harm}"}) + "\n")
        held = max(held, _peak_mb())
        restore(scratch, original, mutant)


def judge_mutant(opener: Opener, mutant: Mutant) -> tuple[str, str | None]:
    """The event of a mutant, and the harm; any exception but an E5Error is harm."""
    started = time.process_time()
    try:
        found, harm = opener.look(mutant)
    except Exception as error:
        return "another exception", f"{type(error).__name__}: {error!s:.200}"
    seconds = time.process_time() - started
    if harm is None and seconds > CPU_LIMIT_S:
        harm = f"it took {seconds:.1f} s of the CPU"
    return found, harm


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MB


if __name__ == "__main__":
    main()
