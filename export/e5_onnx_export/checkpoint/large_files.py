"""The large files of a model on the hub, into the hub's cache: an interrupted download goes on.

From 1.18 on, huggingface_hub gives each download a new temporary name and removes it after a failure
(huggingface_hub#4228), so that a killed one begins again. A file that is complete in the cache under its etag
is taken as it is by every version. So the large ones are put there first.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from filelock import FileLock
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.file_download import repo_folder_name

from e5_onnx_export.checkpoint.resumed_download import download_resumed

_SHA256_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class _Missing:
    """A file that is not in the cache; its etag is its sha256."""

    url: str
    etag: str
    size: int


def fetch_large_files(model: str, *, revision: str | None, patterns: Collection[str]) -> None:
    """Downloads large files that the cache lacks, each from where an earlier download stopped.

    Where the hub cannot be asked nothing is done: the ordinary download then says why, or finds all it needs.

    Args:
        model: `organisation/model`.
        revision: A branch, tag or commit; None for the main branch.
        patterns: Patterns of the files' names.

    Raises:
        HubError: If what arrived is not what the hub has; it is removed.
        Exception: Whatever the hub's HTTP library raises while a file arrives, and the disk.
    """
    missing: list[_Missing] = []
    with suppress(Exception):
        missing = _missing(model, revision, patterns)
    cache = Path(constants.HF_HUB_CACHE)
    name = repo_folder_name(repo_id=model, repo_type="model")
    for file in missing:
        lock = cache / ".locks" / name / f"{file.etag}.lock"  # the one that the hub's library takes
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            blob = cache / name / "blobs" / file.etag
            blob.parent.mkdir(parents=True, exist_ok=True)
            download_resumed(model, file.url, blob, size=file.size, sha256=file.etag)


def _missing(model: str, revision: str | None, patterns: Collection[str]) -> list[_Missing]:
    info = HfApi().model_info(
        model, revision=revision or constants.DEFAULT_REVISION, timeout=constants.HF_HUB_ETAG_TIMEOUT
    )
    names = [file.rfilename for file in info.siblings or []]
    found = []
    for name in names:
        if not any(fnmatch(name, pattern) for pattern in patterns):
            continue
        if isinstance(try_to_load_from_cache(model, name, revision=info.sha), str):
            continue
        url = hf_hub_url(model, name, revision=info.sha)
        about = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        # Of other files it is the hash of a commit's object: they are small and come the ordinary way.
        if about.etag and about.size and len(about.etag) == _SHA256_DIGITS:
            found.append(_Missing(url, about.etag, about.size))
    return found
