"""Other engines on the same checkpoint, each as its users would best run it on a CPU.

A module imports its engine's libraries at its top and offers `prepare`, which converts the checkpoint once,
and `load`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

VectorRows = NDArray[np.float32]
PeerName = Literal[
    "torch",
    "sentence-transformers",
    "optimum-int8",
    "fastembed",
    "ctranslate2",
    "openvino",
    "openvino-static",
    "openvino-static-bf16",
    "openvino-bf16",
    "llama.cpp",
]


@dataclass(frozen=True, slots=True)
class PeerRow:
    """The module of a peer.

    Attributes:
        module: The module of this package that runs it.
        libraries: The distributions whose versions are reported with its figures.
        tokenizer: The library that makes its tokens.
        variant: The part of the module that runs it, where the module runs several peers.
    """

    module: str
    libraries: tuple[str, ...]
    tokenizer: str = "tokenizers"
    variant: str = ""


PEERS: Final[dict[PeerName, PeerRow]] = {
    "torch": PeerRow("torch_fp32", ("torch", "transformers")),
    "sentence-transformers": PeerRow("sentence_transformers_int8", ("sentence-transformers",)),
    "optimum-int8": PeerRow("optimum_int8", ("optimum",)),
    "fastembed": PeerRow("fastembed_fp32", ("fastembed",)),
    "ctranslate2": PeerRow("ctranslate2_int8", ("ctranslate2",)),
    "openvino": PeerRow("openvino_cpu", ("openvino", "nncf"), variant="WEIGHTS"),
    "openvino-static": PeerRow("openvino_cpu", ("openvino", "nncf"), variant="STATIC"),
    "openvino-static-bf16": PeerRow("openvino_cpu", ("openvino", "nncf"), variant="STATIC_BF16"),
    "openvino-bf16": PeerRow("openvino_cpu", ("openvino",), variant="BF16"),
    "llama.cpp": PeerRow("llama_cpp_q8", ("llama-cpp-python",), "llama.cpp"),
}
BATCH: Final = 32
"""Texts in a batch, for engines that leave this to their user."""


@dataclass(frozen=True, slots=True)
class PeerSource:
    """The model that a peer runs.

    Attributes:
        checkpoint: A Hugging Face folder.
        scratch: The folder for conversions, so that a second load costs none.
    """

    checkpoint: Path
    scratch: Path


class LoadedEngine(Protocol):
    """Facts of a loaded engine."""

    @property
    def setting(self) -> str:
        """How it is run, in a line."""

    @property
    def precision(self) -> str:
        """The storage type of its weights."""

    @property
    def disk_bytes(self) -> int:
        """The size of the files that it reads."""


class Peer(LoadedEngine, Protocol):
    """A loaded peer."""

    def encode(self, texts: Sequence[str]) -> VectorRows:
        """Embeds texts as they are, cut to what the model takes: float32 [n, dimension], of length 1."""


class PeerModule(Protocol):
    """The functions that each module offers."""

    def prepare(self, source: PeerSource) -> Path:
        """Converts the checkpoint if that is not done yet, and returns what will be loaded."""

    def load(self, source: PeerSource, threads: int) -> Peer:
        """Loads what was prepared."""


def import_peer(name: PeerName) -> PeerModule:
    """Imports an engine's libraries.

    Raises:
        MissingExtraError: If they are not installed.
    """
    row = PEERS[name]
    module = import_module(f"{__name__}.{row.module}")
    peer: PeerModule = getattr(module, row.variant) if row.variant else module
    return peer
