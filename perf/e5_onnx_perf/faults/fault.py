"""The input and the report of every fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx import Embedder
from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx_export.arrays import Floats
from e5_onnx_perf.speed.texts import text_maker

# The same texts in another process may be cut into other batches.
TOLERANCE: Final = 2e-6


@dataclass(frozen=True)
class Ground:
    """The place of a trial.

    Attributes:
        folder: A model folder, which is left as it is.
        scratch: An empty folder of the fault's own.
        trials: How many times.
        seed: The seed of everything that is random.
    """

    folder: Path
    scratch: Path
    trials: int
    seed: int = 0

    @cached_property
    def chance(self) -> np.random.Generator:
        """The source of everything that is random."""
        return np.random.default_rng(self.seed)

    def texts(self, count: int, *, seed: int = 0) -> list[str]:
        """Different short texts."""
        lengths = np.random.default_rng(seed).integers(6, 30, count).tolist()
        made = text_maker(self.folder / TOKENIZER_NAME, None).make(lengths, seed)
        return [f"{number} {text}" for number, text in enumerate(made)]

    def truth(self, texts: Sequence[str]) -> Floats:
        """Their vectors as documents, float32 [texts, dimension], by a model that nothing disturbs."""
        with Embedder(self.folder, overflow="truncate") as model:
            return model.embed_documents(texts)


@dataclass(slots=True)
class Outcome:
    """The result of all trials.

    Attributes:
        trials: How many there were.
        seen: Counts of events.
        harm: Sentences, one for each thing that must not happen.
    """

    trials: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    harm: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Notes a harm unless something holds."""
        if not holds:
            self.harm.append(otherwise)


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the table.

    Attributes:
        text: The fault, and the condition that must hold.
        trials: How many times by default.
        run: Does it.
    """

    text: str
    trials: int
    run: Callable[[Ground, Outcome], None]


def near(found: Floats, truth: Floats) -> bool:
    """Whether vectors are those of the truth."""
    return found.shape == truth.shape and bool(np.abs(found - truth).max(initial=0) <= TOLERANCE)
