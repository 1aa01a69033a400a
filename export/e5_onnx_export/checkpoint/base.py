"""What a checkpoint is to the rest of the exporter, wherever it came from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from e5_onnx.model_folder.manifest import Architecture, Source
from e5_onnx_export.arrays import Floats


class Weights(Protocol):
    """Named tensors that stay on disk until they are read."""

    def names(self) -> Iterable[str]:
        """Returns the tensors' names."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading it; a linear's weight is [out, in]."""
        ...

    def read(self, name: str) -> Floats:
        """Returns the whole tensor, a copy in float32."""
        ...

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Returns rows `start` to `stop`, cut to the tensor's end, and reads only those from disk."""
        ...


class StoredWeights(Weights, Protocol):
    """Weights under the names and in the number formats that a file has them in."""

    @property
    def label(self) -> str:
        """The file's name, or that of the index of its shards, for messages."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that hold the tensors, in the order of their names."""
        ...

    def dtype(self, name: str) -> str:
        """Returns a tensor's number format in the words of safetensors: `F32`, `F16`, `BF16`, `I64`, ..."""
        ...


Activation = Literal["identity", "tanh"]


@dataclass(frozen=True, slots=True)
class Projection:
    """A dense layer after the pooling: activation(weight @ vector + bias).

    Attributes:
        weight: float32 [outputs, inputs].
        bias: float32 [outputs].
        activation: The activation function after the sum.
    """

    weight: Floats
    bias: Floats
    activation: Activation


@dataclass(frozen=True, slots=True)
class StatedLength:
    """The longest text that a file asks for, special tokens included.

    Attributes:
        tokens: May be more than the model has positions for.
        file: The file's name.
    """

    tokens: int
    file: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was found, understood and checked, with its weights still on disk.

    Attributes:
        source: Its name, revision, licence and the hash of its weights.
        architecture: The encoder's shape; every tensor of `weights` was compared with it.
        weights: The encoder's tensors, under the names they have in transformers' BertModel.
        tokenizer: Its tokenizer.json as transformers uses it: a JSON document in UTF-8.
        folder: The folder of sentence-transformers' files, or None for the demonstration model.
        encoder_folder: The folder of config.json and the tokenizer's files: `folder`, or one in it.
        stored: All tensors of its files, for the NumPy reference; None where they are in no such file.
        length: The length of the longest text by its files, in tokens, or None.
        projections: Dense layers after the pooling, in order.
        notes: Sentences for people on what was found and left out.
    """

    source: Source
    architecture: Architecture
    weights: Weights
    tokenizer: bytes
    folder: Path | None
    encoder_folder: Path | None = None
    stored: StoredWeights | None = None
    length: StatedLength | None = None
    projections: tuple[Projection, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def dimension(self) -> int:
        """Components of a text's vector."""
        return len(self.projections[-1].bias) if self.projections else self.architecture.hidden
