"""Whether a text's vector depends on its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e5_onnx.inference.batching import pad
from e5_onnx_export.arrays import Ids
from e5_onnx_export.compare.parity import parity_batches
from e5_onnx_export.compare.samples import open_folder_session

_BATCH_SIZES = (2, 7, 16)


@dataclass(frozen=True, slots=True)
class Invariance:
    """The largest difference that batch composition makes.

    Attributes:
        max_abs: Largest difference of a component, between a text alone and in ragged batches.
        texts: How many were tried.
    """

    max_abs: float
    texts: int


def measure_invariance(folder: Path, ids: Sequence[Ids]) -> Invariance:
    """Embeds texts alone, and in ragged batches of several sizes."""
    session = open_folder_session(folder, prepack=True)
    alone = np.concatenate([session.run(*pad([row])) for row in ids])
    together = [
        parity_batches(lambda batch: session.run(*pad(batch)), ids, size=size, seed=size)
        for size in _BATCH_SIZES
    ]
    return Invariance(max(float(np.abs(vectors - alone).max()) for vectors in together), len(ids))
