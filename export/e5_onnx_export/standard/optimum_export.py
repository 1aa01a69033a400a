"""Optimum's own conventional export of a checkpoint, as `optimum-cli export onnx` makes it."""

from __future__ import annotations

from pathlib import Path

from e5_onnx.model_folder.manifest import GRAPH_NAME
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.reference.foreign import foreign_tool
from e5_onnx_export.standard.hf_folder import write_hf_folder

TASK = "feature-extraction"


def export_with_optimum(checkpoint: Checkpoint, work: Path) -> Path:
    """Exports to fp32 ONNX with the output `last_hidden_state`.

    Every checkpoint, wherever it comes from, is first written as an fp32 Hugging Face folder: optimum then
    finds neither code nor number formats nor files that it would treat in a way of its own.

    Args:
        checkpoint: The checkpoint to export.
        work: An existing folder for intermediate files, on a disk with room for two fp32 copies; three where
            the model is larger than 2 GB, because optimum then writes each tensor to a file of its own first.

    Returns:
        The path of model.onnx; where it is larger than 2 GB its weights are beside it in model.onnx_data.

    Raises:
        MissingExtraError: If the `[optimum]` extra is not installed.
        ToolError: If optimum fails.
    """
    with foreign_tool("optimum", extra="optimum"):
        from optimum.exporters.onnx import main_export

        source, out = work / "checkpoint", work / "optimum"
        write_hf_folder(checkpoint, source)
        main_export(
            str(source),
            out,
            task=TASK,
            library_name="transformers",
            dtype="fp32",
            local_files_only=True,
            # Its check warns where ours refuses; ours follows.
            do_validation=False,
        )
    return out / GRAPH_NAME
