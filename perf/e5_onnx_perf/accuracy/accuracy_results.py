"""accuracy.json: what was found, with what it was found by."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from e5_onnx.machine.cpu import cpu_facts
from e5_onnx_perf.accuracy.comparison import Draws
from e5_onnx_perf.accuracy.measured_model import MeasuredModel
from e5_onnx_perf.accuracy.unit_plan import AccuracyRequest
from e5_onnx_perf.accuracy.units import Unit
from e5_onnx_perf.accuracy.verdict import Margin
from e5_onnx_perf.report.rendering import write_text

_TOOLS: Final = ("e5-onnx", "onnxruntime", "tokenizers", "numpy", "scipy", "torch", "transformers")
_KEPT: Final = ("size_bytes", "precision", "dimension", "fingerprint")


def accuracy_results(  # noqa: PLR0913 - each is a part of the file
    models: Sequence[MeasuredModel],
    compared: Sequence[Mapping[str, Any]],
    units: Sequence[Unit],
    /,
    *,
    request: AccuracyRequest,
    margin: Margin,
    draws: Draws,
    command: str,
) -> dict[str, Any]:
    """The values of accuracy.json (docs/accuracy.md); scores are on a scale of 0 to 100.

    Args:
        models: The reference, then the candidates.
        compared: The comparison of each candidate.
        units: The units that were observed.
        request: The measurement that was asked for.
        margin: How much may be lost.
        draws: How the bootstrap drew.
        command: The command that repeats it.
    """
    cpu = cpu_facts()
    return {
        "reference": _model(models[0]),
        "candidates": [{**_model(model), **found} for model, found in zip(models[1:], compared, strict=True)],
        "margin": asdict(margin),
        "convention": request.convention,
        "limit": request.limit,
        "seed": draws.seed,
        "resamples": draws.resamples,
        "instructions": _instructions(units, models[0]),
        "data": [{"task": unit.task, "language": unit.language, "sha256": unit.digest()} for unit in units],
        "machine": {"cpu": cpu.model, "features": list(cpu.features), "system": platform.system()},
        "versions": {"python": platform.python_version(), **installed_versions(_TOOLS)},
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
    }


def write_values(values: Mapping[str, Any], path: Path) -> None:
    """Writes a JSON file, all of it or nothing."""
    write_text(json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n", path)


def _model(model: MeasuredModel) -> dict[str, Any]:
    return {"name": model.name, **{name: getattr(model, name) for name in _KEPT}}


def _instructions(units: Sequence[Unit], model: MeasuredModel) -> dict[str, list[str]]:
    """The prompts of each task, both sides."""
    found: dict[str, list[str]] = {}
    for unit in units:
        templates = (model.recipe.template(side.role, side.task) for _, side in unit.texts())
        found[unit.task] = [f"{template.before}{{text}}{template.after}" for template in templates]
    return found


def installed_versions(tools: Sequence[str]) -> dict[str, str]:
    """The version of each distribution that is installed."""
    found = {}
    for tool in tools:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found
