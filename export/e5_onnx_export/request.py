"""What an export is asked to do, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from e5_onnx.model_folder.manifest import Parity, Precision
from e5_onnx_export.errors import ExportRequestError
from e5_onnx_export.recipe.request import RecipeRequest
from e5_onnx_export.rounding.rounding import WeightBits

GraphKind = Literal["packed", "standard"]
TableBits = Literal[4, 8]
ReferenceOption = Literal["auto", "torch", "numpy", "none"]


@dataclass(frozen=True, slots=True)
class QuantizationRequest:
    """The options of a quantised graph.

    Attributes:
        calibration: A text file, one text a line, instead of the texts that come with the exporter.
        min_cosine: The least mean cosine with the fp32 graph, on texts that calibration has not seen; None
            for the precision's default.
        max_size_mb: The largest folder, in 10^6 bytes, that linears may be kept in fp32 for; None for no
            limit.
        weight_bits: Number of bits of an int8 weight: 8, or 7. Both are exact on every CPU.
        table_bits: Number of bits of the token embedding matrix of int4.
    """

    calibration: Path | None = None
    min_cosine: float | None = None
    max_size_mb: float | None = None
    weight_bits: WeightBits = 8
    table_bits: TableBits = 4


# The options of quantised precisions, and the precisions that take them.
_TAKEN_BY: Final[dict[str, tuple[Precision, ...]]] = {
    "calibration": ("int8", "int4"),
    "min_cosine": ("int8", "int4"),
    "max_size_mb": ("int8", "int4"),
    "weight_bits": ("int8",),
    "table_bits": ("int4",),
}


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The options of an export.

    Attributes:
        source: A hub id, a local folder, or `demo`.
        out: The folder to make.
        revision: The branch, tag or commit of a hub id.
        precision: How the weights are stored.
        graph: `packed` for Embedder, `standard` for other tools.
        recipe: The caller's prompt templates and pooling.
        reference: The reference that fp32 vectors are compared with.
        quantization: The options of a quantised graph.
        lean: Whether the lean tokenizer comes with it, where it can be proved right.
        force: Whether a model folder at `out` is replaced.
    """

    source: str
    out: Path
    revision: str | None = None
    precision: Precision = "fp32"
    graph: GraphKind = "packed"
    recipe: RecipeRequest = field(default_factory=RecipeRequest)
    reference: ReferenceOption = "auto"
    quantization: QuantizationRequest = field(default_factory=QuantizationRequest)
    lean: bool = True
    force: bool = False

    def __post_init__(self) -> None:
        if self.graph == "standard" and self.precision != "fp32":
            raise ExportRequestError(
                f"graph='standard' is fp32 only, not {self.precision}: other tools quantise it"
            )
        usual = QuantizationRequest()
        for name, precisions in _TAKEN_BY.items():
            asked = getattr(self.quantization, name)
            if asked != getattr(usual, name) and self.precision not in precisions:
                written = str(asked) if isinstance(asked, Path) else asked
                raise ExportRequestError(
                    f"{name}={written!r} is for precision={' or '.join(map(repr, precisions))}, "
                    f"not {self.precision}"
                )


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The result of an export; `e5-export --json` prints these names.

    Attributes:
        folder: The folder.
        precision: The precision of the weights.
        bytes: Size of all files, in bytes.
        seconds: From start to end.
        peak_rss_mb: Largest resident memory, in 10^6 bytes, mapped files included.
        parity: Distance from the reference.
    """

    folder: str
    precision: Precision
    bytes: int
    seconds: float
    peak_rss_mb: float
    parity: Parity
