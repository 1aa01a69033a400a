"""e5.json, from what is in the folder."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Final

from e5_onnx.model_folder.digest import file_sha256, sampled_sha256
from e5_onnx.model_folder.graph_scan import scan_graph
from e5_onnx.model_folder.manifest import GRAPH_NAME, WEIGHTS_NAME, FileEntry, LeanProof, Manifest
from e5_onnx_export.context import ExportContext
from e5_onnx_export.precision.authored import Authored

# GroupQueryAttention has `causal` from here on; CI runs this version.
ONNXRUNTIME_MIN: Final = "1.30"

_TOOLS: Final = ("e5-onnx", "onnx", "onnx-ir", "onnxruntime", "tokenizers", "numpy")


def make_manifest(
    context: ExportContext, folder: Path, authored: Authored, *, lean: LeanProof | None
) -> Manifest:
    """Hashes every file of the folder and says what it is."""
    return Manifest(
        source=context.checkpoint.source,
        architecture=context.checkpoint.architecture,
        dimension=context.checkpoint.dimension,
        max_tokens=context.choice.max_tokens,
        recipe=context.choice.recipe,
        pooling=context.choice.pooling,
        precision=context.request.precision,
        baseline=context.request.precision == "int8-stock",
        onnxruntime_min=ONNXRUNTIME_MIN,
        files={file.name: _entry(file) for file in sorted(folder.iterdir())},
        parity=authored.parity,
        tools={tool: version(tool) for tool in _TOOLS},
        lean_tokenizer=lean,
        weight_bits=authored.weight_bits,
        weight_pair_sum=authored.weight_pair_sum,
        extra={**_projections(context), **authored.extra},
    )


def _projections(context: ExportContext) -> dict[str, list[dict[str, object]]]:
    """For people: the graph has them."""
    rows: list[dict[str, object]] = [
        {"dimension": len(projection.bias), "activation": projection.activation}
        for projection in context.checkpoint.projections
    ]
    return {"projections": rows} if rows else {}


def _entry(file: Path) -> FileEntry:
    size = file.stat().st_size
    sampled = None
    if file.name == WEIGHTS_NAME:
        scan = scan_graph((file.parent / GRAPH_NAME).read_bytes(), weights_size=size)
        sampled = sampled_sha256(file, scan.extents)
    return FileEntry(size, file_sha256(file), sampled)
