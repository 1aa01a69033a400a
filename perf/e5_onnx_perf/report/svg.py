"""Matplotlib pictures as SVG that takes its colours from the page around it."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING, Any, Final

from e5_onnx.errors import MissingExtraError
from e5_onnx_perf.cache_folder import cache_folder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn in these and replaced by the page's own, which has two of each: for light and for dark.
INK: Final = "#010101"
FAINT: Final = "#020202"
SERIES: Final = ("#030303", "#040404", "#050505", "#060606", "#070707", "#080808")

_VARIABLES: Final = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES)},
}
_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_WIDTH: Final = re.compile(r' width="([\d.]+)pt"')
_SIZE: Final = re.compile(r' (?:width|height)="[\d.]+pt"')
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and scaled
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
}


def new_picture(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure and its axes in the pages' style, with a grid.

    Args:
        width: In inches; 5 can be read on a phone.
        height: In inches.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figure_class = require_matplotlib()
    import matplotlib as mpl

    # What is drawn later takes its style from the axes, and these take it when they are made.
    with mpl.rc_context(_STYLE):
        figure = figure_class(figsize=(width, height))
        axes = figure.add_subplot()
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    return figure, axes


def require_matplotlib() -> type[Figure]:
    """Asks for matplotlib before minutes of work, and not after.

    Raises:
        MissingExtraError: If it is not installed.
    """
    # Else it keeps its list of fonts in folders of its own.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))
    try:
        # Not pyplot: no window, no state that figures share.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("perf", "matplotlib") from error
    return Figure


def to_svg(figure: Figure, *, label: str) -> str:
    """The picture as an element to stand in a page.

    Args:
        figure: The drawing, in the colours of this module.
        label: The text for people who cannot see it; it also makes the ids of the drawing unique.
    """
    import matplotlib as mpl

    written = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": label}):
        figure.savefig(written, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head = f'<svg role="img" aria-label="{escaped}" style="max-width:{_WIDTH.search(svg)[1]}pt"'  # type: ignore[index]
    # As wide as the page has room for, and no wider than it was drawn.
    return _SIZE.sub(" ", svg.replace("<svg", head, 1), count=2)
