"""What was measured of a folder, in the form that the hub reads: `model-index` of the front matter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_LINE: Final = re.compile(r"(?m)^model-index:.*\n")
_TASK: Final = "sentence-similarity"  # the hub's word, as in the card's pipeline_tag


def model_index(values: Mapping[str, Any], candidate: Mapping[str, Any]) -> str:
    """Returns the line of a front matter, JSON being YAML; empty where nothing was measured.

    Args:
        values: The content of accuracy.json.
        candidate: The folder in it. Results of a part of the data (`limit`) are left out.
    """
    if values.get("limit") is not None or not candidate["summary"]:
        return ""
    results = [_result(row, str(values.get("convention", ""))) for row in candidate["summary"]]
    return "model-index: " + json.dumps([{"name": candidate["name"], "results": results}]) + "\n"


def with_results(card: str, line: str) -> str:
    """Returns a card with the line in its front matter, in place of one that stands there.

    A card without a front matter stays as it is.
    """
    begin, opened, rest = card.partition("---\n")
    front, closed, body = rest.partition("---\n")
    if begin or not opened or not closed:
        return card
    return f"{opened}{_LINE.sub('', front)}{line}{closed}{body}"


def _result(row: Mapping[str, Any], convention: str) -> dict[str, Any]:
    task = row["task"]
    over = f"{row['languages']} languages" + (f", {convention} convention" if convention else "")
    return {
        "task": {"type": _TASK, "name": task},
        "dataset": {"type": task, "name": f"{task} of e5-perf accuracy, {over}"},
        "metrics": [{"type": row["metric"], "value": round(row["candidate"], 2)}],
    }
