"""A model whose accuracy is measured: a model folder, or a checkpoint under transformers or others.

Opening one costs little; its weights are loaded when something is embedded for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from e5_onnx.inference.encoded import Encoded
from e5_onnx.recipes import Recipe
from e5_onnx_perf.accuracy.instructions import Side


class Loaded(Protocol):
    """A model with its weights in memory."""

    def encode(self, texts: Sequence[str], side: Side) -> Encoded:
        """Embeds texts, in order; those that are too long are cut."""

    def close(self) -> None:
        """Releases the weights."""


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """The facts about a model that are known before its weights are loaded.

    Attributes:
        name: For tables.
        precision: As in e5.json; what a checkpoint is computed in.
        size_bytes: The size of its files.
        dimension: Components of a vector.
        recipe: The prompts around texts.
        identity: Everything that decides its vectors, with the versions of the libraries: one line of text.
        fingerprint: The fingerprint of a model folder; None for a checkpoint.
        load: Loads the weights.
    """

    name: str
    precision: str
    size_bytes: int
    dimension: int
    recipe: Recipe
    identity: str
    fingerprint: str | None
    load: Callable[[], Loaded]
