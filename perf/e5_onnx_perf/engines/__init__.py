"""Ways to run a model, behind one small interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from e5_onnx_perf.engines.embedder import EmbedderEngine
from e5_onnx_perf.engines.session import SessionEngine
from e5_onnx_perf.engines.torch_fp32 import TorchEngine

Ids = NDArray[np.int64]


class Engine(Protocol):
    """A loaded model."""

    def encode(self, ids: Ids, mask: Ids) -> NDArray[np.float32]:
        """Embeds token ids int64 [batch, sequence] and returns float32 [batch, dimension]."""


ENGINES: Final[dict[str, Callable[[Path, int], Engine]]] = {
    "session": SessionEngine,
    "embedder": EmbedderEngine,
    "torch": TorchEngine,
}
