"""`e5-perf cpu-exactness`: a folder on an older CPU, by emulation."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.model_folder.golden import read_golden
from e5_onnx.model_folder.manifest import GOLDEN_NAME
from e5_onnx_perf.accuracy.scores import cosines
from e5_onnx_perf.errors import ToolMissingError, WorkerError

TEXT: Final = """\
Embeds a folder's golden texts on an emulated older CPU and compares them with its golden vectors.

Haswell has AVX2 and no VNNI: its int8 kernels saturate. Three settings are tried: the choice of Embedder
(auto), exact kernels, and fast kernels. Needs qemu-x86_64 (Debian: qemu-user). Small models take minutes."""

EXAMPLE: Final = "  e5-perf cpu-exactness e5-small --cpu Haswell"

_QEMU: Final = "qemu-x86_64"
_MODULE: Final = "e5_onnx_perf.cpu_exactness.embed_golden"


@dataclass(frozen=True, slots=True)
class EmulatedRun:
    """One run under emulation.

    Attributes:
        choice: `auto`, `always` or `never`.
        exact_cpu: The result of the probe.
        exact_path: Whether the exact kernels were used.
        max_abs: Largest difference from the golden vectors.
        cosine_min: Least cosine with them.
    """

    choice: str
    exact_cpu: bool
    exact_path: bool
    max_abs: float
    cosine_min: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a model folder")
    parser.add_argument("--cpu", default="Haswell", help="a CPU by qemu's name (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    if shutil.which(_QEMU) is None:
        raise ToolMissingError(_QEMU, "qemu-user")
    golden = read_golden(parsed.folder / GOLDEN_NAME)
    sys.stdout.write(f"| {parsed.cpu} | probe | kernels | max abs | cosine min |\n|---|---|---|---|---|\n")
    for choice in ("auto", "always", "never"):
        outcome = _emulate(parsed.folder, parsed.cpu, choice, truth=golden.vectors)
        probe = "exact" if outcome.exact_cpu else "saturates"
        kernels = "exact" if outcome.exact_path else "fast"
        sys.stdout.write(
            f"| {choice} | {probe} | {kernels} | {outcome.max_abs:.1e} | {outcome.cosine_min:.6f} |\n"
        )
        sys.stdout.flush()
    return 0


def _emulate(folder: Path, cpu: str, choice: str, *, truth: NDArray[np.float32]) -> EmulatedRun:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "vectors.npz")
        command = [_QEMU, "-cpu", cpu, sys.executable, "-m", _MODULE, str(folder), str(out), choice]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if done.returncode:
            raise WorkerError(f"{cpu} {choice}", done.stderr.strip().splitlines()[-1])
        with np.load(out) as found:
            vectors = found["vectors"]
            return EmulatedRun(
                choice=choice,
                exact_cpu=bool(found["exact_cpu"]),
                exact_path=bool(found["exact_path"]),
                max_abs=float(np.abs(vectors - truth).max()),
                cosine_min=float(cosines(vectors, truth).min()),
            )
