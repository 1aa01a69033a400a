"""A model folder of the hub, downloaded beside its place, checked and put there whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.file_download import http_get

from e5_onnx.errors import E5Error, FingerprintError, ManifestError
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.manifest import MANIFEST_LIMIT, MANIFEST_NAME, Manifest, parse_manifest
from e5_onnx_export.cards.parts import CARD_NAME
from e5_onnx_export.checkpoint.hub import explain
from e5_onnx_export.checkpoint.resumed_download import BoundedFile, download_resumed, headers
from e5_onnx_export.errors import FolderExistsError, SourceNotFoundError
from e5_onnx_export.package import atomic_folder, check_target, require_space
from e5_onnx_export.progress import Progress, QuietProgress

_CARD_LIMIT: Final = 4_000_000
_ARRIVED: Final = ".pull"


@dataclass(frozen=True, slots=True)
class PullRequest:
    """The model folder to download.

    Attributes:
        repository: Its id on the hub, `organisation/model`.
        out: The folder to make.
        revision: A branch, tag or commit; None for the main branch.
        fingerprint: The fingerprint that it must have; None for any.
        force: Whether a model folder at `out` is replaced.
    """

    repository: str
    out: Path
    revision: str | None = None
    fingerprint: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class PullReport:
    """The folder that was downloaded; `e5-export pull --json` prints these names.

    Attributes:
        folder: The folder.
        repository: Its id on the hub.
        revision: The commit.
        fingerprint: The fingerprint of its manifest.
        bytes: Size of the files of the manifest, in bytes.
    """

    folder: str
    repository: str
    revision: str
    fingerprint: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _Remote:
    """A commit of a repository and the names of its files."""

    repository: str
    commit: str
    names: frozenset[str]

    def url(self, name: str) -> str:
        return hf_hub_url(self.repository, name, revision=self.commit)


def pull(request: PullRequest, progress: Progress | None = None) -> PullReport:
    """Downloads a model folder.

    An interrupted download is resumed by the same call: what has arrived stays in a hidden folder beside
    `out`, under its sha256. Every file is held to the hash that e5.json gives, and the folder appears when
    all are there.

    Args:
        request: The folder.
        progress: The receiver of progress reports; None for none.

    Returns:
        The folder that was downloaded.

    Raises:
        FolderExistsError: If `out` exists and may not be replaced, or another download to it runs.
        SourceNotFoundError: If the hub has no such model or revision, or it is no model folder.
        HubError: If it cannot be downloaded.
        FingerprintError: If its fingerprint is another; nothing but e5.json was downloaded then.
        FolderError: If it is not a sound model folder.
    """
    progress = progress or QuietProgress()
    check_target(request.out, force=request.force)
    with _explained(request):
        remote = _find(request)
        listed = _read(remote, MANIFEST_NAME, MANIFEST_LIMIT)
        card = _read(remote, CARD_NAME, _CARD_LIMIT) if CARD_NAME in remote.names else None
    manifest = parse_manifest(_decoded(listed))
    if request.fingerprint not in (None, manifest.fingerprint):
        raise FingerprintError(str(request.fingerprint), manifest.fingerprint)
    with _store(request.out) as store:
        _download(request, remote, manifest=manifest, store=store, progress=progress)
        with atomic_folder(request.out, force=request.force) as folder:
            _fill(folder, store, manifest)
            (folder / MANIFEST_NAME).write_bytes(listed)
            if card is not None:
                (folder / CARD_NAME).write_bytes(card)
            open_folder(folder).check_everything()
        shutil.rmtree(store, ignore_errors=True)
    size = sum(entry.bytes for entry in manifest.files.values())
    return PullReport(str(request.out), remote.repository, remote.commit, manifest.fingerprint, size)


@contextmanager
def _explained(request: PullRequest) -> Iterator[None]:
    try:
        yield
    except E5Error:
        raise
    # The one seam: the hub's errors, those of its HTTP library (requests or httpx) and of the disk.
    except Exception as error:
        raise explain(error, request.repository, request.revision) from error


def _find(request: PullRequest) -> _Remote:
    info = HfApi().model_info(
        request.repository,
        revision=request.revision or constants.DEFAULT_REVISION,
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    names = frozenset(file.rfilename for file in info.siblings or ())
    if MANIFEST_NAME not in names:
        raise SourceNotFoundError(
            request.repository,
            f"it has no {MANIFEST_NAME}, so it is no model folder: if it is a checkpoint, export it with "
            f"`e5-export {request.repository}`",
        )
    return _Remote(request.repository, str(info.sha), names)


def _read(remote: _Remote, name: str, limit: int) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "file"
        with BoundedFile(file, remote.repository, limit) as opened:
            http_get(remote.url(name), opened, headers=headers())
        return file.read_bytes()


def _decoded(listed: bytes) -> str:
    try:
        return listed.decode()
    except UnicodeDecodeError as error:
        raise ManifestError("the file", "is not UTF-8") from error


@contextmanager
def _store(out: Path) -> Iterator[Path]:
    """Gives the folder of what has arrived, and holds its lock; the folder stays for the next call."""
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_name(f".{out.name}{_ARRIVED}")
    lock = FileLock(out.with_name(f".{out.name}{_ARRIVED}.lock"), timeout=0)
    try:
        with suppress(NotImplementedError):  # some file systems have no locks
            lock.acquire()
    except Timeout as error:
        raise FolderExistsError(store, "another download of this folder runs") from error
    try:
        store.mkdir(mode=0o700, exist_ok=True)
        yield store
    finally:
        lock.release()
        with suppress(OSError):
            Path(lock.lock_file).unlink()


def _download(
    request: PullRequest, remote: _Remote, *, manifest: Manifest, store: Path, progress: Progress
) -> None:
    for name in manifest.files:
        if name not in remote.names:
            raise SourceNotFoundError(request.repository, f"it has no {name}: its upload was incomplete")
    missing = {name: entry for name, entry in manifest.files.items() if not (store / entry.sha256).exists()}
    require_space(request.out, sum(entry.bytes for entry in missing.values()))
    for name, entry in missing.items():
        progress.step(f"downloading {name}, {entry.bytes / 1e6:.0f} MB")
        with _explained(request):
            download_resumed(
                remote.repository,
                remote.url(name),
                store / entry.sha256,
                size=entry.bytes,
                sha256=entry.sha256,
            )


def _fill(folder: Path, store: Path, manifest: Manifest) -> None:
    for name, entry in manifest.files.items():
        try:
            # A second name and no move: after a kill here, the store still has everything.
            os.link(store / entry.sha256, folder / name)
        except OSError:
            shutil.copyfile(store / entry.sha256, folder / name)
