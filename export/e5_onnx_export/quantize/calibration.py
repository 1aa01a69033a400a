"""The texts that a quantiser looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from e5_onnx_export.errors import CalibrationError
from e5_onnx_export.texts import SampleText, calibration_texts

# With fewer, a channel's extremes are a matter of luck.
LEAST_TEXTS: Final = 16


def read_calibration(file: Path | None) -> Sequence[SampleText]:
    """Reads a calibration file, one text a line, or returns the texts that come with the exporter.

    Every other line is taken for a query and the rest for documents, so that both templates are seen. Blank
    lines are passed over.

    Raises:
        CalibrationError: If the file cannot be read, is not UTF-8 or has too few texts.
    """
    if file is None:
        return calibration_texts()
    try:
        lines = [line for line in file.read_text("utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(file, str(error)) from error
    if len(lines) < LEAST_TEXTS:
        raise CalibrationError(file, f"it has {len(lines)} texts, calibration needs at least {LEAST_TEXTS}")
    return [
        SampleText("und", "Unknown", "document" if index % 2 else "query", line)
        for index, line in enumerate(lines)
    ]
