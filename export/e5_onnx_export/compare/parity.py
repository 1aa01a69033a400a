"""How far the exported vectors are from the reference's, and whether that is near enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from e5_onnx.model_folder.manifest import Parity
from e5_onnx_export.arrays import Doubles, Floats, Ids
from e5_onnx_export.errors import ParityError

Measure = Literal[
    "max_abs", "cosine_mean", "cosine_p1", "cosine_min", "centred_cosine_mean", "centred_cosine_min"
]


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of a gate: `measure` must be at most, or at least, `bound`."""

    measure: Measure
    kind: Literal["at most", "at least"]
    bound: float

    def is_met(self, measured: float | None) -> bool:
        """Returns False for what was not measured, and for NaN."""
        if measured is None:
            return False
        return measured <= self.bound if self.kind == "at most" else measured >= self.bound


# The authored fp32 graph is 1e-7 from torch on real weights; 1e-5 leaves room for other processors' kernels.
FP32_LIMITS: Final = (Limit("max_abs", "at most", 1e-5), Limit("cosine_min", "at least", 0.999999))


def parity_batches(
    embed: Callable[[Sequence[Ids]], Floats], token_ids: Sequence[Ids], *, size: int = 8, seed: int = 0
) -> Floats:
    """Embeds texts in ragged batches, so that a comparison sees padding and neighbours.

    Args:
        embed: Takes one batch of token ids, returns float32 [batch, dimension].
        token_ids: One int64 array [n] per text; at least one text.
        size: Texts in a batch.
        seed: The seed of the shuffle that mixes long and short texts.

    Returns:
        float32 [texts, dimension] in the order of `token_ids`.
    """
    order = np.random.default_rng(seed).permutation(len(token_ids))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    shuffled = np.concatenate([embed([token_ids[row] for row in batch]) for batch in batches])
    vectors = np.empty_like(shuffled)
    vectors[order] = shuffled
    return vectors


def measure_parity(reference: Floats, vectors: Floats, reference_name: str) -> Parity:
    """Compares two sets of vectors of the same texts, in float64.

    Args:
        reference: float32 [texts, dimension].
        vectors: The same texts by the exported graph, float32 [texts, dimension].
        reference_name: The name of the reference in the manifest.

    Returns:
        The measures, each over all texts; the centred ones are None for a single text.

    Raises:
        ParityError: If the shapes differ, there is no text, or a vector is zero or not finite: then there is
            nothing to measure.
    """
    if reference.shape != vectors.shape or not len(vectors):
        raise ParityError(
            f"the {reference_name} reference gave vectors of shape {list(reference.shape)}, "
            f"the exported graph {list(vectors.shape)}"
        )
    truth, found = reference.astype(np.float64), vectors.astype(np.float64)
    _refuse_unusable(truth, f"the {reference_name} reference")
    _refuse_unusable(found, "the exported graph")
    cosines = _cosines(truth, found)
    mean = truth.mean(axis=0)
    centred = _cosines(truth - mean, found - mean) if len(truth) > 1 else None
    return Parity(
        checked=True,
        reference=reference_name,
        texts=len(truth),
        max_abs=float(np.abs(truth - found).max()),
        cosine_mean=float(cosines.mean()),
        cosine_p1=float(np.percentile(cosines, 1)),
        cosine_min=float(cosines.min()),
        centred_cosine_mean=None if centred is None else float(centred.mean()),
        centred_cosine_min=None if centred is None else float(centred.min()),
    )


@dataclass(frozen=True, slots=True)
class LanguageCosine:
    """The mean cosine of one language's texts."""

    language: str
    texts: int
    cosine_mean: float


def worst_language(reference: Floats, vectors: Floats, languages: Sequence[str]) -> LanguageCosine:
    """Returns the language whose mean cosine is the lowest.

    Args:
        reference: float32 [texts, dimension].
        vectors: float32 [texts, dimension].
        languages: The language of each text.
    """
    cosines = _cosines(reference.astype(np.float64), vectors.astype(np.float64))
    by_language = {
        language: cosines[[name == language for name in languages]] for language in sorted(set(languages))
    }
    worst = min(by_language, key=lambda language: by_language[language].mean())
    found = by_language[worst]
    return LanguageCosine(worst, len(found), float(found.mean()))


def gate_fp32(parity: Parity) -> None:
    """Lets an fp32 graph pass: max abs <= 1e-5 and cosine >= 0.999999 on every text.

    Raises:
        ParityError: With a table of what was measured against what is allowed.
    """
    gate(parity, FP32_LIMITS)


def gate(parity: Parity, limits: Sequence[Limit]) -> None:
    """Lets measures pass that meet every limit.

    Raises:
        ParityError: With a table of what was measured against what is allowed.
    """
    rows = [(limit, getattr(parity, limit.measure)) for limit in limits]
    missed = [limit.measure for limit, measured in rows if not limit.is_met(measured)]
    if missed:
        table = "\n".join(_row(limit, measured) for limit, measured in rows)
        raise ParityError(
            f"{parity.texts} texts against the {parity.reference} reference:\n"
            f"  {'measure':<20}{'measured':<14}allowed\n{table}\n"
            f"out of bounds: {', '.join(missed)}"
        )


def _row(limit: Limit, measured: float | None) -> str:
    shown = "not measured" if measured is None else f"{measured:.7g}"
    return f"  {limit.measure:<20}{shown:<14}{limit.kind} {limit.bound:g}"


def _refuse_unusable(vectors: Doubles, whose: str) -> None:
    for found, wrong in (
        ("NaN or infinity", ~np.isfinite(vectors).all(axis=1)),
        ("nothing but zeros", ~vectors.any(axis=1)),
    ):
        if wrong.any():
            raise ParityError(f"{whose} gave {found} for text {int(wrong.argmax())} ({wrong.sum()} in all)")


def _cosines(left: Doubles, right: Doubles) -> Doubles:
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = (left * right).sum(axis=1)
    # A centred vector can be zero, where a text's vector is the mean: it points nowhere, so nothing matches.
    cosines: Doubles = np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0)
    # Rounding takes some an ulp above 1.
    return cosines.clip(max=1.0)
