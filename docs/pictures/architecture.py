"""Draws docs/pictures/architecture.svg: `python docs/pictures/architecture.py`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

SIZE: Final = (980, 684)
STYLE: Final = """\
  text { font: 14px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 16px }
  .note { font-size: 12px; fill: #57606a }
  .band { fill: #f6f8fa; stroke: #d0d7de }
  .room { fill: #ffffff; stroke: #57606a }
  .thing { fill: #ddf4ff; stroke: #0969da }
  path { stroke: #0969da; stroke-width: 1.6; fill: none; marker-end: url(#tip) }
  .joined { marker-end: none }
  .imports { stroke: #8c959f; stroke-dasharray: 5 4; marker-end: url(#grey) }
  #tip path, #grey path { stroke: none; marker-end: none }
  #tip path { fill: #0969da } #grey path { fill: #8c959f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #9198a1 }
    .band { fill: #151b23; stroke: #3d444d } .room { fill: #0d1117; stroke: #9198a1 }
    .thing { fill: #121d2f; stroke: #4493f8 }
    path { stroke: #4493f8 } #tip path { fill: #4493f8 }
  }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A box with a word and what it does.

    Attributes:
        kind: `room` is a folder of the package, `thing` what goes in or comes out.
        left: Its place in pixels.
        top: Its place in pixels.
        word: The folder's name.
        note: A line below it.
        width: In pixels.
    """

    kind: str
    left: int
    top: int
    word: str
    note: str
    width: int = 132

    def svg(self) -> str:
        """The box and its two lines."""
        middle = self.left + self.width // 2
        corner = 22 if self.kind == "thing" else 4
        return (
            f'<rect class="{self.kind}" x="{self.left}" y="{self.top}" width="{self.width}" height="46" '
            f'rx="{corner}"/>{_text(middle, self.top + 20, self.word)}'
            f"{_text(middle, self.top + 37, self.note, kind='note')}"
        )


# Package, its place from the top, its height.
BANDS: Final = (
    ("perf / e5_onnx_perf: measures", 12, 108),
    ("export / e5_onnx_export: checkpoint to model folder", 150, 232),
    ("runtime / e5_onnx: text to vector", 412, 260),
)
BOXES: Final = (
    Box("room", 36, 56, "accuracy", "tasks, languages"),
    Box("room", 186, 56, "speed", "texts per second"),
    Box("room", 336, 56, "peers", "the baselines"),
    Box("room", 486, 56, "bulk_runs", "rate, kills"),
    Box("room", 636, 56, "serve_load", "a server under load"),
    Box("room", 786, 56, "report", "pages and pictures"),
    Box("thing", 36, 196, "checkpoint", "hub id or folder"),
    Box("room", 186, 196, "checkpoint", "config, tensors"),
    Box("room", 336, 196, "recipe", "templates, pooling"),
    Box("room", 486, 196, "precision", "fp32, int8, int4"),
    Box("room", 636, 196, "compare", "is it the same?"),
    Box("room", 786, 196, "cards", "the model card"),
    Box("room", 186, 262, "standard", "for other tools"),
    Box("room", 336, 262, "quantize", "int8 and int4 plans"),
    Box("room", 486, 262, "graph", "node by node"),
    Box("room", 636, 262, "reference", "torch or NumPy"),
    Box("room", 336, 324, "rounding", "GPTQ, pair sums"),
    Box("room", 636, 324, "texts", "in many languages"),
    Box("thing", 786, 324, "model folder", "e5.json, graph"),
    Box("room", 36, 458, "cli", "e5 embed, search"),
    Box("room", 186, 458, "serve", "HTTP"),
    Box("room", 336, 458, "bulk, ray", "millions of rows"),
    Box("room", 486, 458, "integrations", "LangChain, …"),
    Box("thing", 36, 540, "text", "and its role"),
    Box("room", 186, 540, "text_input", "files, checks"),
    Box("room", 336, 540, "tokens", "template, limit"),
    Box("room", 486, 540, "inference", "batches, session"),
    Box("thing", 636, 540, "vector", "float32, length 1"),
    Box("room", 786, 458, "model_folder", "manifest, checks"),
    Box("room", 786, 540, "prepacked", "cache of weights"),
    Box("room", 486, 612, "machine", "CPU, threads"),
)
# Corners of each arrow, in pixels.
ARROWS: Final = (
    *(f"{left} 219 {left + 16} 219" for left in (169, 319, 469, 619, 769)),
    *("552 261 552 245", "469 285 484 285", "402 323 402 311", "702 261 702 245"),
    *("702 323 702 311", "852 243 852 321", "252 243 252 259"),
    *(f"{left} 563 {left + 16} 563" for left in (169, 319, 469, 619)),
    *("552 505 552 521 102 521 102 537", "852 371 852 455", "852 505 852 537"),
    *("852 587 852 600 604 600 604 589", "552 611 552 589"),
)
JOINED: Final = tuple(f"{middle} 505 {middle} 521" for middle in (102, 252, 402))
IMPORTS: Final = ("20 121 20 148", "20 383 20 410")


def picture() -> str:
    """The whole drawing, as SVG."""
    width, height = SIZE
    bands = [
        f'<rect class="band" x="8" y="{top}" width="{width - 16}" height="{tall}" rx="8"/>'
        f'<text class="title" x="24" y="{top + 26}">{escape(title)}</text>'
        for title, top, tall in BANDS
    ]
    kinds = (("way", ARROWS), ("joined", JOINED), ("imports", IMPORTS))
    lines = [f'<path class="{kind}" d="M{arrow}"/>' for kind, arrows in kinds for arrow in arrows]
    notes = [_text(64, middle, "imports", kind="note") for middle in (139, 401)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            "<title>The three packages, their rooms, and the ways of a checkpoint and of a text</title>",
            f"<style>\n{STYLE}</style>",
            f"<defs>{_marker('tip')}{_marker('grey')}</defs>",
            *(bands + lines + notes + [box.svg() for box in BOXES]),
            "</svg>\n",
        ]
    )


def _text(x: int, y: int, text: str, *, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def _marker(name: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker>'
    )


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(picture(), "utf-8")
