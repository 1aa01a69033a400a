"""Embedding on a Ray cluster: a class for `Dataset.map_batches`, and `e5 bulk --engine ray`.

Needs the extra `[ray]` on every node.

Raises:
    MissingExtraError: On import, if a package of the extra is not installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from e5_onnx.errors import MissingExtraError

_EXTRA: Final = "ray"

for _module in ("filelock", "pyarrow", "pandas", "ray.data"):
    try:
        import_module(_module)
    except ImportError as error:
        raise MissingExtraError(_EXTRA, _module) from error

from e5_onnx.ray.batches import EmbedBatches  # noqa: E402 - only what is there can be imported
from e5_onnx.ray.node_folder import node_folder  # noqa: E402

__all__ = ["EmbedBatches", "node_folder"]
