"""Figures that others published, beside ours."""

from __future__ import annotations

from statistics import mean
from typing import Final

from e5_onnx_export.cards.accuracy import Values
from e5_onnx_export.cards.parts import table

# multilingual-e5-small, cosine Spearman x 100 on the test sets: embeddings-benchmark/results,
# intfloat__multilingual-e5-small/fd1525a9, STSBenchmarkMultilingualSTS.json. Made with mteb 1.18.0, which
# gives STS texts no prefix. Japanese is not among them.
PUBLISHED_E5_SMALL: Final = {
    "de": 78.94, "en": 83.59, "es": 80.74, "fr": 79.32, "it": 78.28,
    "nl": 76.52, "pl": 73.67, "pt": 77.73, "ru": 77.78, "zh": 78.05,
}  # fmt: skip


def published_table(values: Values) -> str:
    """STS-B by language beside the published figures of multilingual-e5-small, in Markdown.

    Args:
        values: As in accuracy.json. Only texts written as for the published figures are compared.
    """
    scores: dict[str, list[float]] = {}
    for candidate in values["candidates"] if values["convention"] == "reproduction" else ():
        for row in candidate["tasks"]:
            if row["task"] == "sts" and row["language"] in PUBLISHED_E5_SMALL:
                scores.setdefault(row["language"], [row["reference"]]).append(row["candidate"])
    if not scores:
        return ""
    rows = {language: [*own, PUBLISHED_E5_SMALL[language]] for language, own in scores.items()}
    rows[f"mean of {len(rows)}"] = [mean(column) for column in zip(*rows.values(), strict=True)]
    names = [values["reference"]["name"], *(candidate["name"] for candidate in values["candidates"])]
    head = ("STS-B, Spearman", *names, "published e5-small")
    cells = [(language, *(f"{score:.2f}" for score in own)) for language, own in rows.items()]
    return table(head, cells) + "\n"
