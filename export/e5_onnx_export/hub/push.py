"""A model folder, uploaded to the hub in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, constants

from e5_onnx.model_folder.folder import open_folder
from e5_onnx.model_folder.manifest import MANIFEST_NAME, Manifest
from e5_onnx_export.cards.card import model_card
from e5_onnx_export.cards.parts import CARD_NAME, with_library
from e5_onnx_export.errors import HubUploadError
from e5_onnx_export.progress import Progress, QuietProgress

# By plain HTTP, as downloads are; what the tests try is what runs.
constants.HF_HUB_DISABLE_XET = True


@dataclass(frozen=True, slots=True)
class PushRequest:
    """The model folder to upload.

    Attributes:
        folder: The folder.
        repository: Its id on the hub, `organisation/model`; it is made if it is not there.
        private: Whether a repository that is made is private.
    """

    folder: Path
    repository: str
    private: bool = False


@dataclass(frozen=True, slots=True)
class PushReport:
    """The upload; `e5-export push --json` prints these names.

    Attributes:
        repository: The id on the hub.
        revision: The commit.
        fingerprint: The fingerprint of the folder.
        bytes: Size of the files of the manifest, in bytes.
    """

    repository: str
    revision: str
    fingerprint: str
    bytes: int


def push(request: PushRequest, progress: Progress | None = None) -> PushReport:
    """Uploads a model folder.

    The folder is checked whole first. All its files become one commit, so that the repository never shows
    half of it: huggingface_hub's `upload_folder` may make several. Large files that the hub has are not sent
    again, so the same call continues after an interruption with the files that are missing.

    Args:
        request: The folder and its place.
        progress: The receiver of progress reports; None for none.

    Returns:
        The commit.

    Raises:
        FolderError: If it is not a sound model folder.
        HubUploadError: If it cannot be uploaded; the repository shows nothing of it then.
    """
    progress = progress or QuietProgress()
    opened = open_folder(request.folder)
    opened.check_everything()
    manifest = opened.manifest
    progress.step(f"uploading {opened.size_bytes / 1e6:.0f} MB to {request.repository}")
    try:
        commit = _commit(request, manifest)
    # The one seam: the hub's errors, those of its HTTP library (requests or httpx) and of the disk.
    except Exception as error:
        raise HubUploadError(request.repository, _reason(error)) from error
    return PushReport(request.repository, commit, manifest.fingerprint, opened.size_bytes)


def _commit(request: PushRequest, manifest: Manifest) -> str:
    api = HfApi(library_name="e5-onnx")
    api.create_repo(request.repository, private=request.private, exist_ok=True)
    files = [CommitOperationAdd(name, request.folder / name) for name in (*manifest.files, MANIFEST_NAME)]
    card = CommitOperationAdd(CARD_NAME, _card(request.folder, manifest).encode())
    done = api.create_commit(
        request.repository,
        [*files, card],
        commit_message=f"{manifest.source.name}, {manifest.precision}",
        commit_description=f"fingerprint {manifest.fingerprint}",
    )
    return str(done.oid)


def _card(folder: Path, manifest: Manifest) -> str:
    file = folder / CARD_NAME
    # Folders of earlier versions have no `library_name`, and somebody may have removed the card.
    return with_library(file.read_text("utf-8")) if file.is_file() else model_card(manifest)


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    first = str(error).strip().partition("\n")[0]
    if status in (401, 403):
        return "the hub refuses: log in with `hf auth login` or set HF_TOKEN to a token that may write there"
    cause = f"{type(error).__name__}: {first:.200}"
    return f"{cause}; the repository shows nothing of it, and the same command goes on with what is missing"
