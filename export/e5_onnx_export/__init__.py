"""Checkpoints to model folders: ONNX graphs, compared with a reference before they are put in place.

Examples:
    >>> from pathlib import Path
    >>> from e5_onnx_export import ExportRequest, export
    >>> export(ExportRequest("intfloat/multilingual-e5-large-instruct", Path("e5-large")))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib.util import find_spec

from e5_onnx.errors import MissingExtraError

# Before anything else is imported, so that a lean installation is told what it lacks and not where.
for _module in ("huggingface_hub", "onnx", "onnx_ir", "safetensors", "tqdm"):
    if find_spec(_module) is None:
        raise MissingExtraError("export", _module)

from e5_onnx_export.errors import ExportError, ParityError  # noqa: E402
from e5_onnx_export.pipeline import export  # noqa: E402
from e5_onnx_export.recipe.request import RecipeRequest  # noqa: E402
from e5_onnx_export.request import ExportReport, ExportRequest  # noqa: E402

__all__ = ["ExportError", "ExportReport", "ExportRequest", "ParityError", "RecipeRequest", "export"]
