"""accuracy.html: the verdict first, then pictures, tables and how it was measured; one file, no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from e5_onnx_perf.accuracy.pictures import difference_pictures, distribution_picture, readable
from e5_onnx_perf.report.rendering import environment, render, write_text
from e5_onnx_perf.report.svg import require_matplotlib

TITLES: Final = {
    "fidelity": "Vectors",
    "sts": "Similarity (STS-B)",
    "bitext": "Translation (Tatoeba)",
    "retrieval": "Retrieval",
}


def require_page_tools() -> None:
    """Asks for what draws the page before minutes of work, and not after.

    Raises:
        MissingExtraError: If something is not installed.
    """
    environment()
    require_matplotlib()


def write_accuracy_page(values: Mapping[str, Any], path: Path) -> None:
    """Writes the page of what accuracy.json holds."""
    shown = {
        **values,
        "titles": TITLES,
        "name_of": readable,
        "explain": _explain,
        "pictures": difference_pictures(values["candidates"], values["margin"], TITLES),
        "distribution": distribution_picture(values["candidates"]),
    }
    write_text(render("accuracy.html", shown), path)


def _explain(row: Mapping[str, Any]) -> str:
    """The reason for a verdict, where more than one language is judged."""
    total, holds, fails = row["languages"], row["languages_hold"], row["languages_do_not_hold"]
    if holds == total:
        return f"Every language is within its margin; the average: {row['verdict_average']}."
    unsure = total - holds - fails
    parts = [f"average: {row['verdict_average']}", f"{holds} languages hold"]
    parts += [f"{unsure} cannot tell"] if unsure else []
    parts += [f"{fails} do not hold"] if fails else []
    return f"{'; '.join(parts).capitalize()}."
