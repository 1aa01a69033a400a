"""A candidate's fidelity as accuracy.json has it: in all, by language, by length, and the worst texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from e5_onnx_perf.accuracy import fidelity
from e5_onnx_perf.accuracy.fidelity import FidelityUnit
from e5_onnx_perf.accuracy.units import Observation, Unit

_WORST: Final = 10
_SHOWN: Final = 120  # characters of a text
_BINS: Final = 60


def fidelity_of(
    units: Sequence[Unit], reference: Sequence[Observation], candidate: Sequence[Observation]
) -> dict[str, Any]:
    """Compares the vectors of all fidelity units.

    Args:
        units: All units.
        reference: Its observations, one for each unit.
        candidate: The same.

    Returns:
        An empty object where there is no fidelity unit.
    """
    places = [place for place, unit in enumerate(units) if unit.task == "fidelity"]
    chosen = [unit for unit in units if isinstance(unit, FidelityUnit)]
    if not chosen:
        return {}
    truth, found = ([own[place] for place in places] for own in (reference, candidate))
    distances = fidelity.measure_distances(fidelity.stack(truth, "vectors"), fidelity.stack(found, "vectors"))
    tokens = fidelity.stack(truth, "tokens").astype(np.int64)
    languages = np.array([unit.language for unit in chosen for _ in unit.sample])
    texts = [text for unit in chosen for text in unit.sample]
    buckets = fidelity.bucket_of(tokens)
    worst = np.argsort(distances.cosine, kind="stable")[:_WORST]
    return {
        **distances.summary(),
        "alone_against_batch_max_abs": float(fidelity.stack(found, "alone").max()),
        "by_language": fidelity.by_group(
            distances, {name: languages == name for name in sorted(set(languages))}
        ),
        "by_length": fidelity.by_group(
            distances, {name: buckets == number for number, name in enumerate(fidelity.bucket_names())}
        ),
        "worst_texts": [
            {
                "language": str(languages[index]),
                "tokens": int(tokens[index]),
                "cosine": float(distances.cosine[index]),
                "text": texts[index][:_SHOWN],
            }
            for index in worst
        ],
        "histogram": _histogram(distances.cosine),
    }


def _histogram(cosine: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, list[float]]:
    """How many texts lie how far from 1, in steps that grow tenfold: the tail is what matters."""
    edges = np.logspace(-8, 0, _BINS + 1)
    counts, _ = np.histogram(np.clip(1 - cosine, edges[0], edges[-1]), edges)
    return {"one_minus_cosine": edges.tolist(), "texts": counts.tolist()}
