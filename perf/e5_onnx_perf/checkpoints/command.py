"""`e5-perf make-checkpoint`."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Final, get_args

from e5_onnx_export.checkpoint import DEMO, Checkpoint, open_checkpoint
from e5_onnx_export.package import atomic_folder
from e5_onnx_export.standard.hf_folder import StoredFormat, write_hf_folder
from e5_onnx_perf.checkpoints.seeded import Size, seeded_checkpoint
from e5_onnx_perf.checkpoints.stress import stress_copy

TEXT: Final = """\
Writes a checkpoint to measure on, as a Hugging Face folder with the family's real tokenizer.

By default its weights are random numbers from a seed: good for speed, memory and parity, without quality.
With --from demo it is the real multilingual-e5-small. With --outliers three channels of that model are
multiplied by the factor."""

EXAMPLE: Final = """\
  e5-perf make-checkpoint seeded-large --size large
  e5-perf make-checkpoint stress --from demo --outliers 20"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument(
        "--size", choices=get_args(Size), help="size of a model with random weights (default: large)"
    )
    parser.add_argument("--seed", type=int, help="seed of weights or of outlier channels (default: 0)")
    parser.add_argument(
        "--from", dest="base", choices=[DEMO], help="source of real weights (default: random weights)"
    )
    parser.add_argument(
        "--outliers",
        type=float,
        metavar="FACTOR",
        help="factor by which some channels grow; needs --from (default: none)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    _check(parsed)
    with atomic_folder(parsed.out, force=False) as folder:
        # The published large model is stored in half precision too; the real small one keeps its numbers.
        dtype: StoredFormat = "fp32" if parsed.base else "fp16"
        write_hf_folder(_checkpoint(parsed), folder, dtype)
    sys.stdout.write(f"{parsed.out}\n")
    return 0


def _check(parsed: argparse.Namespace) -> None:
    real, stressed = parsed.base is not None, parsed.outliers is not None
    wrong = {
        "--outliers needs --from demo": stressed and not real,
        "--outliers is a number greater than 0": stressed and not 0 < parsed.outliers < math.inf,
        "--size is of a seeded checkpoint: leave it out with --from": real and parsed.size is not None,
        "--seed with --from needs --outliers": real and not stressed and parsed.seed is not None,
        "--seed is at least 0": parsed.seed is not None and parsed.seed < 0,
    }
    for reason, found in wrong.items():
        if found:
            raise argparse.ArgumentTypeError(reason)


def _checkpoint(parsed: argparse.Namespace) -> Checkpoint:
    seed = parsed.seed or 0
    if parsed.base is None:
        return seeded_checkpoint(parsed.size or "large", seed)
    checkpoint = open_checkpoint(DEMO)
    if parsed.outliers is None:
        return checkpoint
    return stress_copy(checkpoint, factor=parsed.outliers, seed=seed)
