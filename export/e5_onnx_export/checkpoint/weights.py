"""Safetensors files, one or in shards, read tensor by tensor and row by row without torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError, safe_open

from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint.files import check_plain_file
from e5_onnx_export.checkpoint.shards import check_shard, read_index
from e5_onnx_export.errors import CheckpointError

SINGLE_NAME: Final = "model.safetensors"
INDEX_NAME: Final = "model.safetensors.index.json"

_BLOCK: Final = 1 << 20
# bfloat16 is the upper half of a float32, and NumPy has no such type: it is read as bits.
_STORED_AS: Final[dict[str, np.dtype[np.generic]]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


@dataclass(frozen=True, slots=True)
class _StoredTensor:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class SafetensorsWeights:
    """The tensors of one or several safetensors files.

    Rows are read with plain reads, not through a memory map: a file that is cut short while it is read then
    raises instead of killing the process, and what was read does not count as this process's memory.
    """

    def __init__(self, label: str, paths: Sequence[Path], tensors: Mapping[str, _StoredTensor]) -> None:
        """Keeps where each tensor is; `open_safetensors` finds that out."""
        self._label = label
        self._paths = tuple(paths)
        self._tensors = dict(tensors)

    @property
    def label(self) -> str:
        """The file's name, or that of the index of its shards."""
        return self._label

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in the order of their names."""
        return self._paths

    def names(self) -> tuple[str, ...]:
        """Returns the names as stored."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading it."""
        return self._tensors[name].shape

    def dtype(self, name: str) -> str:
        """Returns a tensor's number format, in the words of safetensors."""
        return self._tensors[name].dtype

    def read(self, name: str) -> Floats:
        """Returns the whole tensor, a copy in float32."""
        tensor = self._tensors[name]
        return _read(name, tensor, first=0, count=math.prod(tensor.shape)).reshape(tensor.shape)

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Returns rows `start` to `stop`, cut to the tensor's end."""
        tensor = self._tensors[name]
        start, stop, _ = slice(start, stop).indices(tensor.shape[0])
        width = math.prod(tensor.shape[1:])
        rows = max(stop - start, 0)
        return _read(name, tensor, first=start * width, count=rows * width).reshape(rows, *tensor.shape[1:])


def _read(name: str, tensor: _StoredTensor, *, first: int, count: int) -> Floats:
    stored_as = _STORED_AS[tensor.dtype]
    values = np.fromfile(
        tensor.path, stored_as, count=count, offset=tensor.offset + first * stored_as.itemsize
    )
    if values.size != count:
        raise CheckpointError(tensor.path.name, f"ends within tensor {name!r}: copy or download it again")
    if tensor.dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)


def open_safetensors(folder: Path) -> SafetensorsWeights | None:
    """Opens model.safetensors, or else the shards that model.safetensors.index.json names.

    Args:
        folder: A checkpoint.

    Returns:
        The tensors, or None if there is neither file.

    Raises:
        CheckpointError: If a file is missing, damaged or not what the index says.
    """
    if (folder / SINGLE_NAME).exists():
        path = check_plain_file(folder / SINGLE_NAME)
        return SafetensorsWeights(SINGLE_NAME, [path], _read_header(path))
    if not (folder / INDEX_NAME).exists():
        return None
    placed = read_index(folder / INDEX_NAME, ".safetensors")
    paths = [folder / shard for shard in sorted(set(placed.values()))]
    tensors: dict[str, _StoredTensor] = {}
    for path in paths:
        shard = _read_header(check_plain_file(path))
        check_shard(path.name, shard, placed, index=INDEX_NAME)
        tensors |= shard
    return SafetensorsWeights(INDEX_NAME, paths, tensors)


def sha256_of(paths: Sequence[Path]) -> str:
    """Returns the sha256 of files one after another, reading a block at a time."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _read_header(path: Path) -> dict[str, _StoredTensor]:
    # The library checks the header (sizes, overlaps, bounds), but it cannot read bfloat16 into NumPy.
    try:
        with safe_open(path, "numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            path.name, f"cannot be read as safetensors ({error}): copy or download it again"
        ) from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: _StoredTensor(
            path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
        )
        for name, entry in header.items()
    }
