"""What an export takes: bytes on disk before it, memory after it."""

from __future__ import annotations

import sys
from typing import Final

from e5_onnx.model_folder.manifest import Architecture, Precision
from e5_onnx_export.checkpoint import Checkpoint
from e5_onnx_export.request import ExportRequest, GraphKind

# Bytes of a stored word-table or linear weight, its scales included.
_TABLE_BYTES: Final[dict[Precision, float]] = {"fp32": 4, "int8": 1.01, "int4": 1.01, "int8-stock": 1.01}
_LINEAR_BYTES: Final[dict[Precision, float]] = {"fp32": 4, "int8": 1.01, "int4": 0.65, "int8-stock": 1.01}
# fp32 copies that stand beside the result for a while: the graph that a quantised one is made from; for
# optimum a Hugging Face folder, its own export and a copy with the weights in one file.
_FP32_COPIES: Final[dict[tuple[GraphKind, Precision], int]] = {
    ("packed", "fp32"): 0,
    ("packed", "int8"): 1,
    ("packed", "int4"): 1,
    ("packed", "int8-stock"): 3,
    ("standard", "fp32"): 3,
}
_GRAPH_BYTES: Final = 4_000_000


def disk_need(checkpoint: Checkpoint, request: ExportRequest) -> int:
    """Estimates the bytes an export needs on OUT's disk at its fullest, some per cent too high."""
    need = model_bytes(checkpoint, request.precision)
    return need + _FP32_COPIES[request.graph, request.precision] * model_bytes(checkpoint, "fp32")


def model_bytes(checkpoint: Checkpoint, precision: Precision) -> int:
    """Estimates the size of a model folder, in bytes, some per cent too high."""
    shape = checkpoint.architecture
    tokenizer = len(checkpoint.tokenizer)
    table = shape.vocabulary * shape.hidden * _TABLE_BYTES[precision]
    linears = linear_parameters(shape) * _LINEAR_BYTES[precision]
    small = (shape.positions + 20 * shape.layers) * shape.hidden * 4
    projections = sum(projection.weight.nbytes for projection in checkpoint.projections)
    # Twice the tokenizer: the lean one may come beside it.
    return int(table + linears + small + projections + 2.5 * tokenizer + _GRAPH_BYTES)


def linear_parameters(shape: Architecture) -> int:
    """Counts the weights of all linears."""
    return shape.layers * shape.hidden * (4 * shape.hidden + 2 * shape.intermediate)


def peak_rss_mb() -> float:
    """Returns this process's largest resident memory so far in 10^6 bytes, or 0 where it cannot be known."""
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / 1e6 if sys.platform == "darwin" else float(peak) * 1024 / 1e6
