"""The encoder's tensors read a second time, for the NumPy reference.

Nothing here is shared with the reading that the graph is made from: names are found by the words in them,
not in a table of each kind of encoder, and bytes are read by other code. A tensor that was taken for another
then shows as a difference between the vectors.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint.base import Checkpoint, Projection, Weights
from e5_onnx_export.checkpoint.bin import open_bin
from e5_onnx_export.checkpoint.checkpoint_folder import MODULES_NAME
from e5_onnx_export.errors import CheckpointError

_WORDS: Final = re.compile(r"(|.*\.)embeddings\.word_embeddings\.weight")
_TABLE: Final = re.compile(
    r"embeddings\.(?:(?:word|position|token_type)_embeddings|layer_?norm)", re.IGNORECASE
)
_LAYER: Final = re.compile(r"(?:encoder|transformer)\.layers?\.([0-9]+)\.(.+)")
# What each part of a layer is called in BERT's code, and the words that others use for it.
_PARTS: Final = (
    ("attention.self.query", r"attention\.(self\.query|q_lin|q_proj)"),
    ("attention.self.key", r"attention\.(self\.key|k_lin|k_proj)"),
    ("attention.self.value", r"attention\.(self\.value|v_lin|v_proj)"),
    ("attention.output.dense", r"attention\.(output\.dense|out_lin|out_proj)"),
    ("attention.output.LayerNorm", r"attention\.output\.layernorm|sa_layer_norm|attention_layer_norm"),
    ("intermediate.dense", r"intermediate\.dense|ffn\.lin1|fc1"),
    ("output.dense", r"output\.dense|ffn\.lin2|fc2"),
    ("output.LayerNorm", r"output\.layernorm|output_layer_norm|final_layer_norm"),
)
_KINDS: Final = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def read_again(checkpoint: Checkpoint) -> Weights:
    """Opens a checkpoint's tensors a second time.

    Args:
        checkpoint: One that was opened; where its weights are in no file of their own, they are taken as they
            are.

    Returns:
        The tensors that the reference asks for, under BERT's names.

    Raises:
        CheckpointError: If the file does not hold one encoder.
    """
    stored = checkpoint.stored
    if stored is None:
        return checkpoint.weights
    entries = {
        name: entry
        for path in stored.paths
        if path.suffix == ".safetensors"
        for name, entry in _entries(path).items()
    }
    # A pickle is read by torch, or not at all.
    source: _Tensors = _PlainFiles(entries) if entries else stored
    return _Renamed(stored.label, source, _meanings(stored.label, source.names()))


def read_projections_again(checkpoint: Checkpoint) -> tuple[Projection, ...]:
    """Reads the dense layers after the pooling a second time.

    Args:
        checkpoint: One that was opened; without a folder its layers are taken as they are.
    """
    folder = checkpoint.folder
    if folder is None or not (folder / MODULES_NAME).exists():
        return checkpoint.projections
    rows = json.loads((folder / MODULES_NAME).read_bytes())
    return tuple(_dense(folder / row["path"]) for row in rows if row["type"].endswith(".Dense"))


def _dense(folder: Path) -> Projection:
    values = json.loads((folder / "config.json").read_bytes())
    file = folder / "model.safetensors"
    source: _Tensors | None = _PlainFiles(_entries(file)) if file.exists() else open_bin(folder)
    if source is None:
        raise CheckpointError(file.name, f"is missing from {folder}")
    weight = source.read_rows("linear.weight", 0, values["out_features"])
    is_tanh = values.get("activation_function", "Tanh").endswith("Tanh")
    bias = (
        source.read_rows("linear.bias", 0, len(weight))
        if "linear.bias" in source.names()
        else np.zeros(len(weight), np.float32)
    )
    return Projection(weight, bias, "tanh" if is_tanh else "identity")


def _meanings(label: str, names: Iterable[str]) -> dict[str, str]:
    """Names in the file by BERT's names."""
    names = tuple(names)
    prefixes = [found[1] for name in names if (found := _WORDS.fullmatch(name))]
    if len(prefixes) != 1:
        raise CheckpointError(label, f"holds {len(prefixes)} token embedding matrices instead of one")
    (prefix,) = prefixes
    own = (name for name in names if name.startswith(prefix))
    return {meaning: name for name in own if (meaning := _meaning(name.removeprefix(prefix))) is not None}


def _meaning(name: str) -> str | None:
    stem, _, kind = name.rpartition(".")
    if kind not in _KINDS:
        return None
    if _TABLE.fullmatch(stem):
        stem = "embeddings.LayerNorm" if "norm" in stem.lower() else stem
        return f"{stem}.{_KINDS[kind]}"
    layer = _LAYER.fullmatch(stem)
    if layer is None:
        return None
    for part, words in _PARTS:
        if re.fullmatch(words, layer[2], re.IGNORECASE):
            return f"encoder.layer.{layer[1]}.{part}.{_KINDS[kind]}"
    return None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor of a safetensors file: its number format, shape and first byte."""

    path: Path
    number_format: str
    shape: tuple[int, ...]
    start: int


def _entries(path: Path) -> dict[str, _Entry]:
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return {
        name: _Entry(path, row["dtype"], tuple(row["shape"]), 8 + size + row["data_offsets"][0])
        for name, row in header.items()
        if name != "__metadata__"
    }


class _Tensors(Protocol):
    """Tensors under the names that a file has for them."""

    def names(self) -> Iterable[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read_rows(self, name: str, start: int, stop: int) -> Floats: ...


@dataclass(frozen=True, slots=True)
class _PlainFiles:
    entries: Mapping[str, _Entry]

    def names(self) -> tuple[str, ...]:
        """The tensors' names."""
        return tuple(self.entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return self.entries[name].shape

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows `start` to `stop`, cut to the tensor's end."""
        entry = self.entries[name]
        rows, *rest = entry.shape
        count = min(stop, rows) - start
        row_bytes = math.prod(rest) * _BYTES[entry.number_format]
        with entry.path.open("rb") as file:
            file.seek(entry.start + start * row_bytes)
            raw = file.read(count * row_bytes)
        return _to_float32(raw, entry.number_format).reshape(count, *rest)


_BYTES: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def _to_float32(raw: bytes, number_format: str) -> Floats:
    if number_format == "BF16":
        # The upper halves of float32s, whose lower halves are zero.
        halves = np.zeros((len(raw) // 2, 2), "<u2")
        halves[:, 1] = np.frombuffer(raw, "<u2")
        return halves.view("<f4")[:, 0].astype(np.float32)
    return np.frombuffer(raw, f"<f{_BYTES[number_format]}").astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Renamed:
    label: str
    source: _Tensors
    meanings: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """The tensors' names."""
        return tuple(self.meanings)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return self.source.shape(self._stored(name))

    def read(self, name: str) -> Floats:
        """The whole tensor."""
        return self.read_rows(name, 0, self.shape(name)[0])

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows `start` to `stop`, cut to the tensor's end."""
        return self.source.read_rows(self._stored(name), start, stop)

    def _stored(self, name: str) -> str:
        if name not in self.meanings:
            raise CheckpointError(
                self.label,
                f"the NumPy reference finds no tensor in it for {name!r}: compare with reference='torch'",
            )
        return self.meanings[name]
