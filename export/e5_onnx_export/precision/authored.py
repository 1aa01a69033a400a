"""What authoring a graph in some precision gives to the rest of the export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from e5_onnx.model_folder.manifest import Parity
from e5_onnx.tokens.tokenization import TextTokenizer
from e5_onnx_export.context import ExportContext


@dataclass(frozen=True, slots=True)
class Authored:
    """A graph that stands in its folder and has passed its gate.

    Attributes:
        parity: Distance from the reference.
        tolerance: The largest difference of a component that another CPU may make.
        weight_bits: Number of bits of each quantised weight.
        weight_pair_sum: The pair sum limit of int8 weights for 16-bit kernels, or None.
        extra: Further keys of the manifest.
    """

    parity: Parity
    tolerance: float
    weight_bits: int | None = None
    weight_pair_sum: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class AuthorPrecision(Protocol):
    """Writes model.onnx and model.onnx.data in one precision, and checks them."""

    def __call__(self, context: ExportContext, folder: Path, tokenizer: TextTokenizer) -> Authored:
        """Fills `folder`.

        Raises:
            ParityError: If the vectors are too far from the reference's.
        """
