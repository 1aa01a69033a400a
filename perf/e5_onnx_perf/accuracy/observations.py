"""What models made of units, kept on disk: a second run, or one more candidate, costs only what is new."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Raised when what is kept changes its meaning.
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ObservationStore:
    """A folder with a file for each model and unit.

    Attributes:
        folder: It is made when something is kept.
    """

    folder: Path

    def find(self, identity: str, digest: str) -> dict[str, NDArray[Any]] | None:
        """The observation of a unit by a model, or None if it is not known or cannot be read."""
        try:
            # NumPy leaves a file open that it opened itself and could not read.
            with self._file(identity, digest).open("rb") as opened, np.load(opened) as stored:
                return {name: stored[name] for name in stored.files}
        # Half a file is as good as none.
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def keep(self, identity: str, digest: str, observation: Mapping[str, NDArray[Any]]) -> None:
        """Keeps what a model made of a unit: all of it or nothing, whenever the program is ended."""
        file = self._file(identity, digest)
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as opened:
                np.savez(opened, allow_pickle=False, **observation)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _file(self, identity: str, digest: str) -> Path:
        key = hashlib.sha256(f"{_VERSION} {identity} {digest}".encode()).hexdigest()
        return self.folder / key[:2] / f"{key}.npz"
