"""golden.npz: texts with the tokens and vectors they must give. Nothing in it is trusted."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import ModelLoadError, UnsafeFolderError
from e5_onnx.model_folder.manifest import GOLDEN_NAME
from e5_onnx.recipes import ROLES

_UNPACKED_LIMIT: Final = 64_000_000
# By array: its kind in NumPy and its dimensions.
_ARRAYS: Final = {
    "texts": ("U", 1),
    "roles": ("U", 1),
    "ids": ("i", 1),
    "lengths": ("i", 1),
    "vectors": ("f", 2),
    "tolerance": ("f", 0),
}
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Golden:
    """The texts of golden.npz with what they must give.

    Attributes:
        texts: [n].
        roles: [n], of `query`, `document`, `raw`.
        ids: n arrays of int64 token ids, before any cutting.
        vectors: float32 [n, dimension].
        tolerance: The largest difference of a component that another CPU may make.
    """

    texts: list[str]
    roles: list[str]
    ids: list[NDArray[np.int64]]
    vectors: NDArray[np.float32]
    tolerance: float


def read_golden(file: Path) -> Golden:
    """Reads golden.npz, in memory and time that its 64 MB bound.

    Raises:
        ModelLoadError: If it is malformed.
        UnsafeFolderError: If it unpacks to more than 64 MB.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _refuse_bomb(archive)
            golden = _golden({name: _read(archive, name) for name in _ARRAYS})
    except UnsafeFolderError:
        raise
    # One seam: a zip archive and a header in Python's syntax raise a dozen kinds, SystemError among them.
    except Exception as error:
        raise ModelLoadError(GOLDEN_NAME, f"{type(error).__name__}: {error!s:.200}") from error
    counts = {len(golden.texts), len(golden.roles), len(golden.ids), len(golden.vectors)}
    if len(counts) != 1 or not golden.texts or not set(golden.roles) <= set(ROLES):
        raise ModelLoadError(GOLDEN_NAME, "its arrays do not belong together")
    return golden


def _refuse_bomb(archive: zipfile.ZipFile) -> None:
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > _UNPACKED_LIMIT:
        raise UnsafeFolderError(GOLDEN_NAME, f"it unpacks to {unpacked} bytes")


def _read(archive: zipfile.ZipFile, name: str) -> _Array:
    """Reads an array, if its header promises what there is: a billion texts of no letters are not."""
    kind, dimensions = _ARRAYS[name]
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{name} is of version {version}")
        shape, by_columns, dtype = _HEADERS[version](file)
        if dtype.kind != kind or len(shape) != dimensions or by_columns or not dtype.itemsize:
            raise ValueError(f"{name} is {dtype} of shape {shape}")
        return _array(file, shape, dtype)


def _array(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    data = file.read(_UNPACKED_LIMIT)
    if any(size < 0 for size in shape) or int(np.prod(shape, dtype=object)) * dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes are not {dtype} of shape {shape}")
    return np.frombuffer(data, dtype).reshape(shape)


def _golden(arrays: dict[str, _Array]) -> Golden:
    lengths = arrays["lengths"].astype(np.int64)
    if (lengths < 0).any() or int(lengths.sum()) != len(arrays["ids"]):
        raise ValueError("lengths are not those of ids")
    return Golden(
        texts=[str(text) for text in arrays["texts"]],
        roles=[str(role) for role in arrays["roles"]],
        ids=np.split(arrays["ids"].astype(np.int64), np.cumsum(lengths)[:-1]),
        vectors=arrays["vectors"].astype(np.float32),
        tolerance=float(arrays["tolerance"]),
    )
