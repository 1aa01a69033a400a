"""Themes of texts in many languages, and a picture: `python docs/examples/cluster.py e5-large themes.svg`.

The clusters are found in all dimensions; the picture shows the two in which texts differ most (PCA).
"""

from __future__ import annotations

import sys
import warnings

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from texts import DOCUMENTS

from e5_onnx import Embedder

# Letters stay letters: whoever looks at the picture needs the fonts, and not this program.
mpl.rcParams["svg.fonttype"] = "none"
warnings.filterwarnings("ignore", "Glyph .* missing from font")

TASK = "Identify categories in user passages."


def themes(model: Embedder, texts: list[str], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The theme of each text, and its place in the picture: [n] and [n, 2]."""
    task = TASK if model.manifest.recipe.takes_task else None
    vectors = model.embed_queries(texts, task=task)
    # All vectors of this family point roughly one way: what they have in common says nothing.
    centred = vectors - vectors.mean(axis=0)
    labels = KMeans(count, n_init=10, random_state=0).fit_predict(centred)
    return labels, PCA(2).fit_transform(centred)


def draw(path: str, texts: list[str], *, labels: np.ndarray, places: np.ndarray) -> None:
    """Writes the picture, an SVG: points on the left, their texts on the right in the order of height."""
    figure = Figure(figsize=(10, 0.8 + 0.3 * len(texts)))
    axes = figure.add_axes((0.03, 0.05, 0.52, 0.87))
    heights = np.linspace(0.98, 0.02, len(texts))
    for row, height in zip(np.argsort(-places[:, 1]), heights, strict=True):
        colour = f"C{labels[row]}"
        line = {"arrowstyle": "-", "color": colour, "alpha": 0.4, "relpos": (0, 0.5)}
        side = {"xytext": (1.03, height), "textcoords": "axes fraction", "arrowprops": line}
        axes.annotate(texts[row], places[row], color=colour, va="center", fontsize=9, **side)
        axes.scatter(*places[row], color=colour, s=50, zorder=3)
    axes.set(title="Texts by theme", xticks=[], yticks=[])
    figure.savefig(path)


if __name__ == "__main__":
    with Embedder(sys.argv[1]) as opened:
        found, where = themes(opened, DOCUMENTS, 4)
    draw(sys.argv[2], DOCUMENTS, labels=found, places=where)
    for theme in range(4):
        texts_of = [text for text, label in zip(DOCUMENTS, found, strict=True) if label == theme]
        print(f"theme {theme}", *texts_of, sep="\n  ")
