"""An export, in the order in which things happen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from e5_onnx.model_folder.manifest import Parity
from e5_onnx_export.checkpoint import Checkpoint, open_checkpoint
from e5_onnx_export.context import ExportContext
from e5_onnx_export.errors import UnsupportedModelError
from e5_onnx_export.package import atomic_folder, check_target, require_space
from e5_onnx_export.precision.packed import write_packed
from e5_onnx_export.precision.resources import disk_need, peak_rss_mb
from e5_onnx_export.progress import Progress, QuietProgress
from e5_onnx_export.recipe.detection import detect
from e5_onnx_export.request import ExportReport, ExportRequest, GraphKind
from e5_onnx_export.standard.folder import write_standard

_WRITERS: Final[dict[GraphKind, Callable[[ExportContext, Path], Parity]]] = {
    "packed": write_packed,
    "standard": write_standard,
}


def export(request: ExportRequest, progress: Progress | None = None) -> ExportReport:
    """Turns a checkpoint into a model folder, or leaves nothing.

    Args:
        request: The options of the export.
        progress: The receiver of progress reports; None for none.

    Returns:
        The report on the new folder.

    Raises:
        ExportError: A leaf of it; then nothing stands at `request.out` that did not stand there before.
        MissingExtraError: If an optional package is needed and not installed.
    """
    started = time.monotonic()
    progress = progress or QuietProgress()
    check_target(request.out, force=request.force)
    progress.step(f"reading {request.source}")
    checkpoint = open_checkpoint(request.source, revision=request.revision)
    choice = detect(checkpoint, request.recipe)
    for note in (*checkpoint.notes, *choice.notes):
        progress.step(f"note: {note}")
    _check_projections(checkpoint, request)
    require_space(request.out, disk_need(checkpoint, request))
    context = ExportContext(request, checkpoint, choice, progress)
    with atomic_folder(request.out, force=request.force) as folder:
        parity = _WRITERS[request.graph](context, folder)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return ExportReport(
        folder=str(request.out),
        precision=request.precision,
        bytes=size,
        seconds=round(time.monotonic() - started, 2),
        peak_rss_mb=round(peak_rss_mb(), 1),
        parity=parity,
    )


def _check_projections(checkpoint: Checkpoint, request: ExportRequest) -> None:
    # Both are optimum's own graphs, which end before the pooling.
    is_optimums = request.graph == "standard" or request.precision == "int8-stock"
    if checkpoint.projections and is_optimums:
        raise UnsupportedModelError(
            checkpoint.source.name,
            "it has a Dense module after the pooling: only the unpadded graph in fp32, int8 or int4 has it",
        )
