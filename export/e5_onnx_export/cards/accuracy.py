"""What `e5-perf accuracy` found, as Markdown, and as a section of a folder's card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from e5_onnx.model_folder.folder import open_folder
from e5_onnx_export.cards.model_index import model_index, with_results
from e5_onnx_export.cards.parts import CARD_NAME
from e5_onnx_export.errors import CardError

RESULTS_NAME: Final = "accuracy.json"

_BEGIN, _END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
_SECTION: Final = re.compile(re.escape(_BEGIN) + ".*?" + re.escape(_END) + "\n?", re.DOTALL)
_HEADER: Final = (
    "| candidate | task | metric | languages | reference | candidate | difference | 95% interval "
    "| worst language | verdict |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)

Values = Mapping[str, Any]


def accuracy_table(candidates: Sequence[Values]) -> str:
    """One row a candidate, task and metric, in Markdown.

    Args:
        candidates: As in accuracy.json.
    """
    rows = [_row(candidate["name"], row) for candidate in candidates for row in candidate["summary"]]
    return "\n".join([_HEADER, *rows]) + "\n" if rows else ""


def fidelity_lines(candidates: Sequence[Values]) -> str:
    """A sentence a candidate on how near its vectors are to the reference's."""
    lines = []
    for candidate in candidates:
        found = candidate["fidelity"]
        if found:
            lines.append(
                f"{candidate['name']}, {found['texts']:,} texts: cosine with the reference "
                f"{found['cosine_mean']:.6f} on average, {found['cosine_min']:.6f} at the lowest; centred "
                f"{found['centred_cosine_mean']:.6f}; {found['overlap_at_10']:.1%} of the ten nearest "
                f"neighbours are the same; alone and in a batch a vector differs by "
                f"{found['alone_against_batch_max_abs']:.0e} at most."
            )
    return "\n\n".join(lines) + "\n" if lines else ""


def add_accuracy(folder: Path, results: Path) -> None:
    """Writes what was found of a folder into its card, in place of what stood there before.

    Args:
        folder: A model folder.
        results: accuracy.json, or the folder that holds it.

    Raises:
        FolderError: If it is not a sound model folder.
        CardError: If there are no results of this folder.
    """
    fingerprint = open_folder(folder).manifest.fingerprint
    file = results / RESULTS_NAME if results.is_dir() else results
    values = _read(file)
    own = [candidate for candidate in values["candidates"] if candidate.get("fingerprint") == fingerprint]
    if not own:
        raise CardError(file, f"it has no candidate with the fingerprint of {folder}: measure this folder")
    card = folder / CARD_NAME
    text = card.read_text("utf-8") if card.is_file() else ""
    written = f"{_SECTION.sub('', text).rstrip()}\n\n{_section(values, own)}"
    part = card.with_name(f"{CARD_NAME}.part")
    part.write_text(with_results(written.lstrip(), model_index(values, own[0])), "utf-8")
    part.replace(card)


def _section(values: Values, own: Sequence[Values]) -> str:
    reference, margin = values["reference"], values["margin"]
    intro = (
        f"Compared with {reference['name']} ({reference['precision']}) by `e5-perf accuracy`. Scores are on "
        f"a scale of 0 to 100; the verdict holds if the 95% interval stays within {margin['average']} points "
        f"on average and {margin['language']} in every language."
    )
    parts = [_BEGIN, "## Accuracy", intro, accuracy_table(own).rstrip(), fidelity_lines(own).rstrip(), _END]
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(name: str, row: Values) -> str:
    cells = (
        name,
        row["task"],
        row["metric"],
        str(row["languages"]),
        f"{row['reference']:.2f}",
        f"{row['candidate']:.2f}",
        f"{row['delta']:+.2f}",
        f"{row['ci_low']:+.2f} to {row['ci_high']:+.2f}",
        f"{row['worst_language']} {row['worst_delta']:+.2f}",
        row["verdict"],
    )
    return f"| {' | '.join(cells)} |"


def _read(file: Path) -> Values:
    try:
        values = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CardError(
            file, "there is no such file: make it with `e5-perf accuracy ... --out DIR`"
        ) from error
    except ValueError as error:
        raise CardError(file, f"it is not JSON ({error})") from error
    if not isinstance(values, dict) or not {"reference", "candidates", "margin"} <= values.keys():
        raise CardError(file, "it is not what `e5-perf accuracy` writes")
    return values
