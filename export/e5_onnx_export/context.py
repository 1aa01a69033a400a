"""What every step of an export needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from e5_onnx_export.checkpoint import Checkpoint
from e5_onnx_export.progress import Progress
from e5_onnx_export.recipe.detection import EncodingChoice
from e5_onnx_export.request import ExportRequest


@dataclass(frozen=True, slots=True)
class ExportContext:
    """One export.

    Attributes:
        request: The options of the export.
        checkpoint: The checkpoint that is exported.
        choice: Recipe, pooling and length.
        progress: The receiver of progress reports.
    """

    request: ExportRequest
    checkpoint: Checkpoint
    choice: EncodingChoice
    progress: Progress
