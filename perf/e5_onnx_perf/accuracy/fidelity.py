"""How near a candidate's vectors are to the reference's, text by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx_export.arrays import Doubles, Floats
from e5_onnx_perf.accuracy.instructions import DOCUMENT, Side, TaskName
from e5_onnx_perf.accuracy.units import Encode, Observation, Score, Unit, digest

_NEIGHBOURS: Final = 10
_ROWS_AT_ONCE: Final = 512
_ALONE: Final = 3  # texts of each language that are embedded alone too

# Texts over all languages, and the bounds for one language.
_TEXTS: Final = 4000
_FEWEST, _MOST = 24, 300
# Test sets hold sentences; long texts are made by joining so many consecutive ones.
_JOINED: Final = (3, 8, 20, 40)
BUCKETS: Final = (16, 32, 64, 128, 256, 512)
"""Upper bounds of the length buckets, in tokens."""


@dataclass(frozen=True, slots=True)
class FidelityUnit:
    """Texts of a language whose vectors are compared one by one.

    Attributes:
        language: Its short code.
        sample: The texts.
    """

    language: str
    sample: Sequence[str]
    task: TaskName = "fidelity"

    @property
    def clusters(self) -> Sequence[str]:
        """Each text by itself."""
        return [f"{self.language} {number}" for number in range(len(self.sample))]

    def texts(self) -> list[tuple[Sequence[str], Side]]:
        """The texts, as documents."""
        return [(self.sample, DOCUMENT)]

    def digest(self) -> str:
        """Sha256 over the texts."""
        return digest(self)

    def observe(self, encode: Encode) -> Observation:
        """Vectors, tokens, and the largest difference that being alone makes."""
        together = encode(self.sample, DOCUMENT)
        chosen = np.linspace(0, len(self.sample) - 1, _ALONE).astype(int)
        alone = np.stack([encode([self.sample[index]], DOCUMENT).vectors[0] for index in chosen])
        difference = np.abs(alone - together.vectors[chosen]).max()
        return {"vectors": together.vectors, "tokens": together.tokens, "alone": np.array([difference])}

    def scores(self, observation: Observation) -> list[Score]:
        """None: fidelity has no score without a reference."""
        return []


def fidelity_units(units: Sequence[Unit], limit: int | None) -> list[FidelityUnit]:
    """Samples the texts of other units, evenly from each language, and adds long ones.

    Args:
        units: The units whose texts to take; English that is there as translation only is left out.
        limit: The most texts of a language, or None.
    """
    by_language: dict[str, dict[str, None]] = {}
    for unit in units:
        own = unit.texts()[:1] if unit.task == "bitext" else unit.texts()
        for texts, _ in own:
            by_language.setdefault(unit.language, {}).update(dict.fromkeys(texts))
    share = _TEXTS // max(1, len(by_language))
    most = min(limit or _MOST, max(_FEWEST, min(_MOST, share)))
    return [
        FidelityUnit(language, _sample(list(texts), most)) for language, texts in sorted(by_language.items())
    ]


def _sample(texts: list[str], most: int) -> list[str]:
    """Some of a language's texts and, for a tenth as many of each length, several joined."""
    chosen = [texts[index] for index in _evenly(len(texts), most)]
    for sentences in _JOINED:
        if sentences < len(texts):
            starts = _evenly(len(texts) - sentences, max(1, most // 40))
            chosen += [" ".join(texts[start : start + sentences]) for start in starts]
    return list(dict.fromkeys(chosen))


def _evenly(length: int, most: int) -> list[int]:
    return sorted({int(place) for place in np.linspace(0, length - 1, min(length, most))})


@dataclass(frozen=True, slots=True)
class Distances:
    """A candidate's distance from the reference, for every text.

    Attributes:
        cosine: float64 [n].
        centred: float64 [n], after the reference's mean vector is taken away from both.
        overlap: float64 [n], which part of a text's ten nearest neighbours is the same.
    """

    cosine: Doubles
    centred: Doubles
    overlap: Doubles

    def summary(self, rows: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """The figures of all texts, or of some."""
        chosen = np.ones(len(self.cosine), np.bool_) if rows is None else rows
        cosine, centred = self.cosine[chosen], self.centred[chosen]
        return {
            "texts": int(chosen.sum()),
            "cosine_mean": float(cosine.mean()),
            "cosine_p1": float(np.percentile(cosine, 1)),
            "cosine_min": float(cosine.min()),
            "centred_cosine_mean": float(centred.mean()),
            "centred_cosine_min": float(centred.min()),
            "overlap_at_10": float(self.overlap[chosen].mean()),
        }


def measure_distances(reference: Floats, candidate: Floats) -> Distances:
    """Compares vectors of the same texts, float32 [n, dimension], of length 1."""
    truth, found = reference.astype(np.float64), candidate.astype(np.float64)
    middle = truth.mean(axis=0)
    same = _neighbours(reference)[:, :, None] == _neighbours(candidate)[:, None, :]
    overlap = same.any(axis=2).mean(axis=1) if same.size else np.ones(len(truth))
    return Distances(_cosines(truth, found), _cosines(truth - middle, found - middle), overlap)


def _cosines(left: Doubles, right: Doubles) -> Doubles:
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = (left * right).sum(axis=1)
    # One text alone is its own mean: nothing is left to point anywhere.
    cosines: Doubles = np.divide(products, lengths, out=np.ones_like(lengths), where=lengths > 0)
    return cosines.clip(max=1)


def _neighbours(vectors: Floats) -> NDArray[np.int64]:
    """The numbers of each text's nearest others, int64 [n, at most 10]."""
    count = min(_NEIGHBOURS, len(vectors) - 1)
    found = []
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        similar = vectors[start : start + _ROWS_AT_ONCE] @ vectors.T
        similar[np.arange(len(similar)), np.arange(start, start + len(similar))] = -np.inf
        found.append(np.argpartition(-similar, max(0, count - 1), axis=1)[:, :count])
    return np.concatenate(found)


def bucket_of(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each text's length bucket; int64 [n] to int64 [n]."""
    return np.searchsorted(BUCKETS, np.minimum(tokens, BUCKETS[-1]))


def bucket_names() -> list[str]:
    """`1-16`, `17-32` and so on."""
    return [f"{low + 1}-{high}" for low, high in zip((0, *BUCKETS), BUCKETS, strict=False)]


def stack(observations: Sequence[Observation], name: str) -> NDArray[np.float32]:
    """One array of all units' observations."""
    return np.concatenate([observation[name] for observation in observations])


def by_group(distances: Distances, groups: Mapping[str, NDArray[np.bool_]]) -> list[dict[str, object]]:
    """The figures of each group that has texts."""
    return [{"group": name, **distances.summary(rows)} for name, rows in groups.items() if rows.any()]
