"""Conversions of a checkpoint, made once and kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from e5_onnx_perf.peers import PeerSource, VectorRows


def converted(source: PeerSource, name: str, convert: Callable[[Path], None]) -> Path:
    """A folder in the scratch folder, made by `convert` if it is not there: all of it or nothing."""
    folder = source.scratch / f"{source.checkpoint.resolve().name}-{name}"
    if not folder.exists():
        source.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=source.scratch, prefix=f"{name}-") as work:
            made = Path(work, "made")
            made.mkdir()
            convert(made)
            made.rename(folder)
    return folder


def standard_folder(source: PeerSource) -> Path:
    """The checkpoint as other tools expect it, with optimum's own export in fp32.

    Raises:
        ExportError: If it cannot be exported.
        MissingExtraError: If optimum is not installed.
    """

    def convert(made: Path) -> None:
        # Not among the libraries of a peer, whose import is timed.
        from e5_onnx_export import ExportRequest, RecipeRequest, export

        made.rmdir()
        recipe = RecipeRequest("plain", pooling="mean")
        export(ExportRequest(str(source.checkpoint), made, graph="standard", recipe=recipe, reference="none"))

    return converted(source, "standard", convert)


def copy_beside(folder: Path, made: Path) -> None:
    """Copies a standard folder's files, but not its graph."""
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy2(file, made / file.name)


def folder_bytes(folder: Path, *patterns: str) -> int:
    """Bytes of a folder's files, or of those that patterns name."""
    files = {file for pattern in (patterns or ("*",)) for file in folder.rglob(pattern) if file.is_file()}
    return sum(file.stat().st_size for file in files)


def in_batches(texts: Sequence[str], size: int, embed: Callable[[list[str]], VectorRows]) -> VectorRows:
    """Embeds texts in batches of similar length, as a user who cares for speed would, and restores the order.

    Args:
        texts: In any order; at least one.
        size: Texts in a batch.
        embed: From a batch to float32 [batch, dimension].
    """
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    parts = [
        embed([texts[index] for index in order[start : start + size]]) for start in range(0, len(order), size)
    ]
    found = np.concatenate(parts)
    vectors = np.empty_like(found)
    vectors[order] = found
    return vectors


def mean_pool(states: VectorRows, mask: NDArray[np.integer]) -> VectorRows:
    """The normalised mean of the real tokens: float32 [batch, sequence, H] to [batch, H]."""
    summed = np.matmul(mask[:, None, :].astype(np.float32), states)[:, 0]
    return np.asarray(summed / np.linalg.norm(summed, axis=1, keepdims=True), np.float32)
