"""Vectors as they are stored: float32, float16, or int8 with a scale a vector."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from e5_onnx.bulk_job import EMBEDDING, SCALE, VectorType

_LARGEST: Final = 127
_TINY: Final = np.float32(1e-30)

_TYPES: Final[dict[VectorType, pa.DataType]] = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
}


def vector_fields(kind: VectorType, dimension: int) -> list[pa.Field]:
    """The columns that vectors take."""
    fields = [pa.field(EMBEDDING, pa.list_(pa.field("element", _TYPES[kind], nullable=False), dimension))]
    return [*fields, pa.field(SCALE, pa.float32())] if kind == "int8" else fields


def vector_arrays(kind: VectorType, vectors: NDArray[np.float32]) -> list[pa.Array]:
    """Vectors as those columns.

    Args:
        kind: How components are stored. For `int8` a component is its number x the vector's scale.
        vectors: float32 [n, dimension].
    """
    if kind == "int8":
        numbers, scales = quantise(vectors)
        return [_as_lists(kind, numbers), pa.array(scales)]
    return [_as_lists(kind, vectors.astype(_TYPES[kind].to_pandas_dtype(), copy=False))]


def quantise(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rounds each vector to whole numbers of at most 127.

    Args:
        vectors: float32 [n, dimension].

    Returns:
        int8 [n, dimension], and float32 [n]: what to multiply them with.
    """
    scales = np.maximum(np.abs(vectors).max(axis=1, initial=0), _TINY) / np.float32(_LARGEST)
    return np.rint(vectors / scales[:, None]).astype(np.int8), scales


def _as_lists(kind: VectorType, values: NDArray[Any]) -> pa.Array:
    entry = vector_fields(kind, values.shape[1])[0]
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=entry.type)
