"""Whether a folder is whole, and whether this machine computes its vectors."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from e5_onnx.engine import Engine, Request
from e5_onnx.errors import IntegrityError, MissingFileError, ModelLoadError
from e5_onnx.folder import open_folder
from e5_onnx.golden import Golden, read_golden
from e5_onnx.manifest import GOLDEN_NAME, Manifest
from e5_onnx.opening import open_frugal_engine
from e5_onnx.recipes import ROLES
from e5_onnx.session import require_onnxruntime
from e5_onnx.threads import choose_threads

# A folder says itself how far another CPU may be off, and may not say just anything.
_MOST_IN_FP32, _MOST_QUANTISED = 1e-4, 5e-2


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
    _check_golden(golden, opened.manifest)
    max_abs = _compare(open_frugal_engine(opened, choose_threads(threads).count), golden)
    return VerifyReport(len(opened.manifest.files), len(golden.texts), max_abs, golden.tolerance)


def _check_golden(golden: Golden, manifest: Manifest) -> None:
    if golden.vectors.shape[1] != manifest.dimension:
        raise ModelLoadError(GOLDEN_NAME, f"its vectors are not of {manifest.dimension} components")
    most = _MOST_IN_FP32 if manifest.precision == "fp32" else _MOST_QUANTISED
    if not 0 <= golden.tolerance <= most:
        raise IntegrityError(GOLDEN_NAME, "the tolerance", expected=f"at most {most}", found=golden.tolerance)


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
