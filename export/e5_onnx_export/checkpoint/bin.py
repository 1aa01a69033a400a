"""pytorch_model.bin, a pickle, whole or in shards: read by torch's weights-only loader or not at all."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from e5_onnx.errors import MissingExtraError
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint.files import check_plain_file
from e5_onnx_export.checkpoint.shards import check_shard, read_index
from e5_onnx_export.errors import CheckpointError

BIN_NAME: Final = "pytorch_model.bin"
BIN_INDEX_NAME: Final = "pytorch_model.bin.index.json"

_FORMATS: Final = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
}


class TorchWeights:
    """The tensors of one or several pickles, mapped from the files where their format allows that."""

    def __init__(self, label: str, paths: Sequence[Path], tensors: Mapping[str, Any]) -> None:
        """Keeps torch's tensors, which are on the CPU."""
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
        return tuple(self._tensors[name].shape)

    def dtype(self, name: str) -> str:
        """Returns a tensor's number format: safetensors' word, or torch's own for those that are not read."""
        dtype = str(self._tensors[name].dtype)
        return _FORMATS.get(dtype, dtype)

    def read(self, name: str) -> Floats:
        """Returns the whole tensor, a copy in float32."""
        return _to_numpy(self._tensors[name])

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Returns rows `start` to `stop`, cut to the tensor's end."""
        return _to_numpy(self._tensors[name][start:stop])


def _to_numpy(tensor: Any) -> Floats:  # noqa: ANN401 - torch is not a dependency
    return np.array(tensor.detach().float().numpy())


def open_bin(folder: Path) -> TorchWeights | None:
    """Opens pytorch_model.bin, or else the shards that pytorch_model.bin.index.json names.

    Args:
        folder: A checkpoint.

    Returns:
        The tensors, or None if there is neither file.

    Raises:
        MissingExtraError: If torch is not installed.
        CheckpointError: If torch finds anything in a file but tensors, or cannot read it, or a file is not
            what the index says.
    """
    if (folder / BIN_NAME).exists():
        path = folder / BIN_NAME
        return TorchWeights(BIN_NAME, [path], load_tensors(path))
    if not (folder / BIN_INDEX_NAME).exists():
        return None
    placed = read_index(folder / BIN_INDEX_NAME, ".bin")
    paths = [folder / shard for shard in sorted(set(placed.values()))]
    tensors: dict[str, Any] = {}
    for path in paths:
        shard = load_tensors(path)
        check_shard(path.name, shard, placed, index=BIN_INDEX_NAME)
        tensors |= shard
    return TorchWeights(BIN_INDEX_NAME, paths, tensors)


def load_tensors(path: Path) -> dict[str, Any]:
    """Reads one pickle.

    Args:
        path: A file that torch saved.

    Returns:
        Its tensors by name.

    Raises:
        MissingExtraError: If torch is not installed.
        CheckpointError: If torch finds anything in it but tensors, or cannot read it.
    """
    check_plain_file(path)
    torch = _import_torch()
    try:
        state = _load(torch, path)
    # The loader's own errors have no common type: UnpicklingError, RuntimeError, EOFError, KeyError, ...
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            path.name,
            f"is refused by torch's weights-only loader ({first_line:.200}): use a safetensors copy",
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    ):
        raise CheckpointError(path.name, "is not a table of tensors")
    return state


def _import_torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("reference", "torch") from error
    module: ModuleType = torch
    return module


def _load(torch: Any, path: Path) -> Any:  # noqa: ANN401
    # Only torch's zip format, the rule since torch 1.6, can be mapped.
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
