"""Links as huggingface_hub makes them in its cache, the only ones that may lead out of a model folder.

CACHE/models--ORG--NAME/snapshots/COMMIT/FILE leads to CACHE/models--ORG--NAME/blobs/ETAG: it is the file, or
from huggingface_hub 1.32 on a link to CACHE/blobs/HH/HASH, the store that all models of the cache share.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_SNAPSHOTS, _BLOBS, _MODEL = "snapshots", "blobs", "models--"
_STORED: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = 2


def is_hub_link(file: Path) -> bool:
    """Whether a link is one from a snapshot into the blobs of its own model, or on into the shared store.

    Args:
        file: A link.
    """
    snapshot = file.parent.resolve()
    model = snapshot.parent.parent
    if snapshot.parent.name != _SNAPSHOTS or not model.name.startswith(_MODEL):
        return False
    blob = snapshot / file.readlink()
    if blob.parent.resolve() != model / _BLOBS:
        return False
    return not blob.is_symlink() or _is_stored(blob.parent / blob.readlink(), model.parent / _BLOBS)


def _is_stored(file: Path, store: Path) -> bool:
    if not _STORED.fullmatch(file.name) or file.is_symlink():
        return False
    return file.parent.resolve() == store / file.name[:_PREFIX]
