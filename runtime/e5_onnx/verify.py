"""Whether a folder is whole, and whether this machine computes its vectors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from e5_onnx.errors import IntegrityError, MissingFileError, ModelLoadError
from e5_onnx.errors.folder import COPY_AGAIN
from e5_onnx.inference.engine import Engine, Request
from e5_onnx.inference.session import require_onnxruntime
from e5_onnx.machine.threads import choose_threads
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.golden import Golden, read_golden
from e5_onnx.model_folder.manifest import GOLDEN_NAME, LEAN_TOKENIZER_NAME, Manifest
from e5_onnx.opening import open_frugal_engine
from e5_onnx.prepacked.cache import PrepackedCache
from e5_onnx.prepacked.place import cache_root, has_place
from e5_onnx.recipes import ROLES, Role
from e5_onnx.tokens.opening import open_tokenizer

# A folder says itself how far another CPU may be off, and may not say just anything.
_MOST_IN_FP32, _MOST_QUANTISED = 1e-4, 5e-2

_WITHOUT_LEAN: Final = "open the folder with tokenizer='tokenizers', or export the model again"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of a check.

    Attributes:
        files: Number of files whose every byte was hashed.
        golden_texts: Number of texts embedded and compared.
        max_abs: The largest difference of a component.
        tolerance: The largest difference allowed.
        cached: Number of packed copies of the weights, in the cache, whose every byte was hashed.
    """

    files: int
    golden_texts: int
    max_abs: float
    tolerance: float
    cached: int = 0


def verify_folder(
    folder: Path, *, threads: int | None = None, cache_dir: str | os.PathLike[str] | None = None
) -> VerifyReport:
    """Hashes every byte of a folder and its packed copy, then embeds its golden texts on this machine.

    Where an Embedder would use the lean tokenizer, it has to give the golden tokens too.

    Args:
        folder: The model folder.
        threads: Number of threads of the session; None chooses.
        cache_dir: The cache of packed weights; None asks the environment.

    Returns:
        The counts of what was checked.

    Raises:
        FolderError: A leaf of it: IntegrityError for a hash, a token or a vector that differs.
        UnsafeCacheError: If others could have written to the cache.
    """
    opened = open_folder(folder)
    if GOLDEN_NAME not in opened.manifest.files:
        raise MissingFileError(folder, GOLDEN_NAME)
    require_onnxruntime(opened.manifest.onnxruntime_min)
    # Everything, the golden file among it, before anything of it is believed.
    opened.check_everything()
    golden = read_golden(folder / GOLDEN_NAME)
    cached = _check_cache(opened.manifest, cache_root(cache_dir))
    engine = open_frugal_engine(opened, choose_threads(threads).count)
    _check_golden(golden, opened.manifest)
    max_abs = _compare(engine, golden)
    in_use = open_tokenizer(folder, opened.manifest, "auto")
    if in_use.name != engine.tokenizer.name:
        _check_tokens(replace(engine, tokenizer=in_use), golden, LEAN_TOKENIZER_NAME, remedy=_WITHOUT_LEAN)
    return VerifyReport(len(opened.manifest.files), len(golden.texts), max_abs, golden.tolerance, cached)


def _check_cache(manifest: Manifest, root: Path | None) -> int:
    return PrepackedCache(root).check(manifest) if root is not None and has_place(root) else 0


def _check_golden(golden: Golden, manifest: Manifest) -> None:
    if golden.vectors.shape[1] != manifest.dimension:
        raise ModelLoadError(GOLDEN_NAME, f"its vectors are not of {manifest.dimension} components")
    most = _MOST_IN_FP32 if manifest.precision == "fp32" else _MOST_QUANTISED
    if not 0 <= golden.tolerance <= most:
        raise IntegrityError(GOLDEN_NAME, "the tolerance", expected=f"at most {most}", found=golden.tolerance)


def _compare(engine: Engine, golden: Golden) -> float:
    _check_tokens(engine, golden, GOLDEN_NAME, remedy=COPY_AGAIN)
    difference = np.zeros_like(golden.vectors)
    for role, chosen in _by_role(golden):
        texts = [golden.texts[index] for index in chosen]
        vectors = engine.encode(texts, Request(role, None, "truncate")).vectors
        difference[chosen] = vectors - golden.vectors[chosen]
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


def _check_tokens(engine: Engine, golden: Golden, name: str, *, remedy: str) -> None:
    for role, chosen in _by_role(golden):
        tokenized = engine.tokenize(
            [golden.texts[index] for index in chosen], Request(role, None, "truncate")
        )
        for index, text in zip(chosen, tokenized, strict=True):
            if not np.array_equal(text.ids, golden.ids[index]):
                what = f"the sha256 of the token ids of golden text {index}"
                expected, found = (sha256(ids.tobytes()).hexdigest() for ids in (golden.ids[index], text.ids))
                raise IntegrityError(name, what, expected=expected, found=found, remedy=remedy)


def _by_role(golden: Golden) -> Iterator[tuple[Role, list[int]]]:
    for role in ROLES:
        yield role, [index for index, name in enumerate(golden.roles) if name == role]
