"""speed.html: accuracy against speed against size in one picture, then each workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from e5_onnx_export.cards.accuracy import Values
from e5_onnx_perf.report.rendering import render, write_text
from e5_onnx_perf.report.svg import INK, SERIES, new_picture, to_svg
from e5_onnx_perf.speed.speed_results import AGREES
from e5_onnx_perf.speed.table import agreement, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH: Final = 5.4
_MB_A_POINT: Final = 4  # of a dot's area
_POINTS: Final = 72  # an inch
_NAME_WIDTH, _NAME_HEIGHT = 110, 9  # points
_OVERVIEW: Final = ("ragged", "8x256", "32x32")


def write_speed_page(values: Values, path: Path) -> None:
    """Writes the page of what speed.json holds."""
    workloads = list(dict.fromkeys(row["workload"] for row in values["results"]))
    main = next((name for name in _OVERVIEW if name in workloads), workloads[0])
    shown = {
        **values,
        "workloads": workloads,
        "main": main,
        "best": next(row for row in values["frontier"] if row["workload"] == main),
        "agrees": AGREES,
        "agreement": agreement,
        "with_interval": with_interval,
        "overview": _overview(values, main),
        "pictures": [_bars(values, workload) for workload in workloads],
        "memory_by_engine": {row["engine"]: row for row in values["memory"]},
        "starts": {row["engine"]: row for row in values["cold_start"]},
    }
    write_text(render("speed.html", shown), path)


def _overview(values: Values, workload: str) -> str:
    """Throughput against the error of the vectors; a dot is as large as the files."""
    rows = {row["engine"]: row for row in values["results"] if row["workload"] == workload}
    sizes = {row["engine"]: row["disk_mb"] for row in values["memory"]}
    figure, axes = new_picture(_WIDTH, 3.6)
    places: dict[str, tuple[float, float]] = {}
    compared = {name: row for name, row in rows.items() if row["cosine_mean"] is not None}
    for number, (name, row) in enumerate(compared.items()):
        error = max(1e-7, 1 - row["cosine_mean"])
        area = max(12, sizes[name] / _MB_A_POINT)
        axes.scatter([error], [row["tokens_per_s"]], s=area, alpha=0.75, color=SERIES[number % len(SERIES)])
        places[name] = error, row["tokens_per_s"]
    axes.axvline(1 - AGREES, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.margins(0.2, 0.15)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("1 − mean cosine with fp32: better to the right")
    axes.set_ylabel(f"tokens/s, {workload}")
    _name(axes, places)
    return to_svg(figure, label=f"Throughput against agreement on {workload}, dots as large as the files")


def _name(axes: Axes, places: Mapping[str, tuple[float, float]]) -> None:
    """Writes names beside dots, each above those that it would cover, with a line to its dot."""
    scale = _POINTS / axes.figure.dpi
    dots = {name: axes.transData.transform(place) * scale for name, place in places.items()}
    taken: list[tuple[float, float]] = []
    for name, (x, y) in sorted(dots.items(), key=lambda dot: float(dot[1][1])):
        own = float(y)
        for other_x, other_y in sorted(taken, key=lambda label: label[1]):
            if abs(other_x - x) < _NAME_WIDTH and abs(other_y - own) < _NAME_HEIGHT:
                own = other_y + _NAME_HEIGHT
        taken.append((float(x), own))
        axes.annotate(
            name, places[name], xytext=(9, own - y), textcoords="offset points", va="center", fontsize=7,
            color=INK, arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": INK},
        )  # fmt: skip


def _bars(values: Values, workload: str) -> dict[str, str]:
    rows: Sequence[Values] = [row for row in values["results"] if row["workload"] == workload]
    singly = rows[0]["p50_ms"] is not None
    figure, axes = new_picture(_WIDTH, 0.7 + 0.24 * len(rows))
    amounts = [row["p50_ms"] if singly else row["tokens_per_s"] for row in rows]
    agree = [row["cosine_mean"] is not None and row["cosine_mean"] >= AGREES for row in rows]
    colours = [SERIES[0] if row["engine"] == row["judged"] else SERIES[2 if same else 1]
               for row, same in zip(rows, agree, strict=True)]  # fmt: skip
    axes.barh(range(len(rows)), amounts, height=0.62, color=colours)
    for place, (amount, row) in enumerate(zip(amounts, rows, strict=True)):
        ratio = "" if row["engine"] == row["judged"] else f"   ({with_interval(row)})"
        axes.annotate(
            f"{amount:,.1f}{ratio}" if singly else f"{amount:,.0f}{ratio}",
            (amount, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7, color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row["engine"] for row in rows])
    axes.invert_yaxis()
    axes.margins(x=1.0)
    axes.grid(visible=False, axis="y")
    unit = "ms, median of single requests: less is better" if singly else "tokens/s: more is better"
    axes.set_xlabel(unit)
    return {"workload": workload, "svg": to_svg(figure, label=f"{workload}: {unit} by engine"), "unit": unit}
