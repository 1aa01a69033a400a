"""Ways to run a model, behind one small interface: one engine a module, with a function `load`.

A module imports its engine's libraries at its top, so that their cost can be told from a model's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
EngineName = Literal["session", "embedder", "torch"]

_MODULES: Final[dict[EngineName, str]] = {
    "session": "session",
    "embedder": "embedder",
    "torch": "torch_fp32",
}


class Engine(Protocol):
    """A loaded model."""

    @property
    def vocabulary(self) -> int:
        """Token ids it takes: 0 to one less than this."""

    def encode(self, ids: Ids, mask: Ids) -> NDArray[np.float32]:
        """Embeds token ids int64 [batch, sequence] and returns float32 [batch, dimension]."""


Load = Callable[[Path, int], Engine]


def import_engine(name: EngineName) -> Load:
    """Imports an engine's libraries and returns what loads a model: from its path and a number of threads.

    Raises:
        MissingExtraError: If they are not installed.
    """
    load: Load = import_module(f"{__name__}.{_MODULES[name]}").load
    return load
