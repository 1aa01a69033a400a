"""`--graph standard`: optimum's own export, with the files by which other tools find their way."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

from e5_onnx.model_folder.manifest import Parity
from e5_onnx_export.cards.parts import CARD_NAME
from e5_onnx_export.context import ExportContext
from e5_onnx_export.standard.card import standard_card
from e5_onnx_export.standard.hf_folder import write_config, write_json, write_tokenizer
from e5_onnx_export.standard.optimum_export import export_with_optimum
from e5_onnx_export.standard.sentence_folder import write_sentence_files
from e5_onnx_export.standard.trial import ONNX_FOLDER, Trial, try_standard

# Embedder knows such a folder by onnx/model.onnx and the want of an e5.json; this file says what it is.
MARKER_NAME: Final = "e5_standard.json"

_TOOLS: Final = ("e5-onnx", "optimum", "optimum-onnx", "transformers", "torch", "onnx", "onnxruntime")


def write_standard(context: ExportContext, folder: Path) -> Parity:
    """Fills an empty folder for use in other tools, and tries it with them.

    Args:
        context: The export.
        folder: Empty, on a disk with room for another copy of the weights.

    Returns:
        Distance of its vectors, pooled and normalised, from the reference's.

    Raises:
        ParityError: If a tool's vectors are too far from the reference's.
        ToolError: If optimum cannot export it, or a tool not open it.
        MissingExtraError: If the `[optimum]` extra is not installed.
    """
    checkpoint, choice = context.checkpoint, context.choice
    context.progress.step("exporting with optimum")
    with tempfile.TemporaryDirectory(dir=folder, prefix="optimum-") as scratch:
        graph = export_with_optimum(checkpoint, Path(scratch))
        (folder / ONNX_FOLDER).mkdir()
        # model.onnx and, over 2 GB, model.onnx_data: the first has the second's name in it.
        for file in sorted(graph.parent.glob(f"{graph.name}*")):
            shutil.move(file, folder / ONNX_FOLDER / file.name)
    write_config(checkpoint, folder)
    write_tokenizer(checkpoint, folder, max_tokens=choice.max_tokens)
    write_sentence_files(choice, checkpoint.architecture.hidden, folder)
    trial = try_standard(context, folder)
    tools = {tool: version(tool) for tool in _TOOLS}
    write_json(folder / MARKER_NAME, _marker(context, trial, tools))
    (folder / CARD_NAME).write_text(standard_card(context, trial, tools), "utf-8")
    return trial.parity


def _marker(context: ExportContext, trial: Trial, tools: dict[str, str]) -> dict[str, object]:
    return {
        "graph": "standard",
        "source": asdict(context.checkpoint.source),
        "recipe": asdict(context.choice.recipe),
        "pooling": context.choice.pooling,
        "max_tokens": context.choice.max_tokens,
        "parity": asdict(trial.parity),
        "opened_with": list(trial.tools),
        "tools": tools,
    }
