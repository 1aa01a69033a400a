"""A model folder, to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from e5_onnx import Embedder
from e5_onnx.inference.encoded import Encoded
from e5_onnx.inference.exact_int8 import needs_exact_kernels
from e5_onnx.machine.cpu import cpu_facts
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.manifest import Manifest
from e5_onnx.silent import onnxruntime
from e5_onnx_perf.accuracy.instructions import Side
from e5_onnx_perf.accuracy.measured_model import Loaded, MeasuredModel


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder.

    Raises:
        FolderError: If it is not a sound model folder.
    """
    return open_folder(folder).manifest


def open_model_folder(folder: Path, *, threads: int | None) -> MeasuredModel:
    """Opens a model folder.

    Raises:
        FolderError: If it is not a sound model folder.
    """
    opened = open_folder(folder)
    manifest = opened.manifest
    kernels = "exact" if needs_exact_kernels(manifest, "auto") else "fast"
    return MeasuredModel(
        name=folder.resolve().name,
        precision=manifest.precision,
        size_bytes=opened.size_bytes,
        dimension=manifest.dimension,
        recipe=manifest.recipe,
        # Kernels of other CPUs add in another order.
        identity=f"{manifest.fingerprint} onnxruntime {onnxruntime.__version__} "
        f"{kernels} {' '.join(cpu_facts().features)}",
        fingerprint=manifest.fingerprint,
        load=partial(_load, folder, threads),
    )


class _LoadedFolder:
    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        return self._embedder.encode(texts, role=side.role, task=side.task)

    def close(self) -> None:
        self._embedder.close()


def _load(folder: Path, threads: int | None) -> Loaded:
    return _LoadedFolder(Embedder(folder, threads=threads, overflow="truncate", mode="throughput"))
