"""The flag of `e5-export` that sets each parameter of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from e5_onnx.cli.flags import in_flags
from e5_onnx_export.progress import TerminalProgress

FLAGS: Final[Mapping[str, str]] = {
    "calibration": "--calibration",
    "document_template": "--document-template",
    "force": "--force",
    "graph": "--graph",
    "max_size_mb": "--max-size",
    "min_cosine": "--min-cosine",
    "pooling": "--pooling",
    "precision": "--precision",
    "query_template": "--query-template",
    "recipe": "--recipe",
    "reference": "--reference",
    "revision": "--revision",
    "table_bits": "--table-bits",
    "weight_bits": "--weight-bits",
}


class FlagProgress(TerminalProgress):
    """Steps and notes in the words of the command line."""

    def step(self, text: str) -> None:
        """Writes a line, with flags in place of parameters."""
        super().step(in_flags(text, FLAGS))
