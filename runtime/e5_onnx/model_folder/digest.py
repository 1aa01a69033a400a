"""Hashes of the files of a model folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_SAMPLE_BYTES: Final = 4096


def file_sha256(path: Path) -> str:
    """Returns the sha256 of a whole file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sampled_sha256(path: Path, extents: Iterable[tuple[int, int]]) -> str:
    """Hashes the first and last 4 KiB of each tensor of a weight file.

    It reads a few megabytes where the file has gigabytes, and still notices a truncated, swapped,
    zero-filled or shifted file when the folder opens. It does not notice a flipped bit in the middle: `e5
    verify` does.

    Args:
        path: The weight file.
        extents: Offset and length of each tensor, in bytes.

    Returns:
        The sha256, in hex.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for offset, length in sorted(extents):
            file.seek(offset)
            digest.update(file.read(min(length, _SAMPLE_BYTES)))
            if length > _SAMPLE_BYTES:
                file.seek(offset + length - _SAMPLE_BYTES)
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
