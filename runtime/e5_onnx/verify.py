"""Whether a folder is whole, and whether this machine computes its vectors."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.engine import Engine, Request
from e5_onnx.errors import IntegrityError, MissingFileError, ModelLoadError, UnsafeFolderError
from e5_onnx.folder import open_folder
from e5_onnx.manifest import GOLDEN_NAME
from e5_onnx.opening import open_frugal_engine
from e5_onnx.recipes import ROLES
from e5_onnx.session import require_onnxruntime
from e5_onnx.threads import choose_threads

_UNPACKED_LIMIT: Final = 64_000_000
_Array = NDArray[Any]
_ARRAYS: Final = ("texts", "roles", "ids", "lengths", "vectors", "tolerance")


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


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked.

    Attributes:
        files: Number of files whose every byte was hashed.
        golden_texts: Number of texts embedded and compared.
        max_abs: The largest difference of a component.
        tolerance: What was allowed.
    """

    files: int
    golden_texts: int
    max_abs: float
    tolerance: float


def verify_folder(folder: Path, *, threads: int | None = None) -> VerifyReport:
    """Hashes every byte of a folder, then embeds its golden texts on this machine.

    Args:
        folder: The model folder.
        threads: Of the session; None chooses.

    Returns:
        What was checked.

    Raises:
        FolderError: A leaf of it: IntegrityError for a hash, a token or a vector that differs.
    """
    opened = open_folder(folder)
    if GOLDEN_NAME not in opened.manifest.files:
        raise MissingFileError(folder, GOLDEN_NAME)
    require_onnxruntime(opened.manifest.onnxruntime_min)
    # Everything, the golden file among it, before anything of it is believed.
    opened.check_everything()
    golden = read_golden(folder / GOLDEN_NAME)
    max_abs = _compare(open_frugal_engine(opened, choose_threads(threads).count), golden)
    return VerifyReport(len(opened.manifest.files), len(golden.texts), max_abs, golden.tolerance)


def read_golden(file: Path) -> Golden:
    """Reads golden.npz, trusting nothing in it.

    Raises:
        ModelLoadError: If it is malformed.
        UnsafeFolderError: If it unpacks to more than 64 MB.
    """
    try:
        _refuse_bomb(file)
        with np.load(file, allow_pickle=False) as stored:
            golden = _golden(*(stored[name] for name in _ARRAYS))
    except UnsafeFolderError:
        raise
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelLoadError(GOLDEN_NAME, str(error)) from error
    counts = {len(golden.texts), len(golden.roles), len(golden.ids), len(golden.vectors)}
    if len(counts) != 1 or not set(golden.roles) <= set(ROLES):
        raise ModelLoadError(GOLDEN_NAME, "its arrays do not belong together")
    return golden


def _refuse_bomb(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > _UNPACKED_LIMIT:
        raise UnsafeFolderError(GOLDEN_NAME, f"it unpacks to {unpacked} bytes")


def _golden(  # noqa: PLR0917 - the arrays of the file, in its order
    texts: _Array, roles: _Array, ids: _Array, lengths: _Array, vectors: _Array, tolerance: _Array, /
) -> Golden:
    return Golden(
        texts=[str(text) for text in texts],
        roles=[str(role) for role in roles],
        ids=np.split(ids.astype(np.int64), np.cumsum(lengths)[:-1]),
        vectors=vectors.astype(np.float32),
        tolerance=float(tolerance),
    )


def _compare(engine: Engine, golden: Golden) -> float:
    difference = np.zeros_like(golden.vectors)
    for role in ROLES:
        chosen = [index for index, name in enumerate(golden.roles) if name == role]
        texts = [golden.texts[index] for index in chosen]
        request = Request(role, None, "truncate")
        for index, text in zip(chosen, engine.tokenize(texts, request), strict=True):
            if not np.array_equal(text.ids, golden.ids[index]):
                what = f"the sha256 of the token ids of golden text {index}"
                expected, found = (sha256(ids.tobytes()).hexdigest() for ids in (golden.ids[index], text.ids))
                raise IntegrityError(GOLDEN_NAME, what, expected=expected, found=found)
        difference[chosen] = engine.encode(texts, request).vectors - golden.vectors[chosen]
    # NumPy's maximum, unlike Python's, is NaN if anything is.
    worst = float(np.abs(difference).max())
    if not worst <= golden.tolerance:
        raise IntegrityError(
            "vectors",
            "the largest difference from the golden vectors",
            expected=golden.tolerance,
            found=worst,
        )
    return worst
