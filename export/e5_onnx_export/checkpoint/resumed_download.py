"""One file from the hub, continued where an earlier download stopped, and held to its sha256."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from huggingface_hub import get_token
from huggingface_hub.file_download import http_get

from e5_onnx.model_folder.digest import file_sha256
from e5_onnx_export.errors import HubError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_INCOMPLETE: Final = ".incomplete"


class BoundedFile(io.FileIO):
    """A file that takes no more than a number of bytes, whatever a server sends.

    Args:
        file: The file; what it holds is kept.
        model: The model, for the error.
        limit: Size in bytes.
    """

    def __init__(self, file: Path, model: str, limit: int) -> None:
        super().__init__(file, "ab")
        self._model, self._limit = model, limit

    def write(self, data: ReadableBuffer) -> int:
        """Writes everything, or raises HubError where it would be too much."""
        left = memoryview(data).cast("B")
        size = len(left)
        if self.tell() + size > self._limit:
            raise HubError(self._model, f"a file is larger than its {self._limit} bytes: try again")
        while left:
            left = left[super().write(left) :]
        return size


def download_resumed(model: str, url: str, place: Path, *, size: int, sha256: str) -> None:
    """Downloads a file to its place, unless it is there. A part of it, beside the place, is continued.

    Args:
        model: The model, for the error.
        url: The address of the file.
        place: The file to make; it appears when it is whole.
        size: Its size in bytes.
        sha256: Its hash.

    Raises:
        HubError: If what arrived is another file; it is removed.
        Exception: Whatever the hub's HTTP library raises while it arrives, and the disk.
    """
    if place.exists():
        return
    partial = place.with_name(f"{place.name}{_INCOMPLETE}")
    with BoundedFile(partial, model, size) as opened:
        if opened.tell() > size:
            opened.truncate(0)
            opened.seek(0)
        http_get(url, opened, resume_size=opened.tell(), headers=headers(), expected_size=size)
    if file_sha256(partial) != sha256:
        partial.unlink()
        raise HubError(model, "a file arrived damaged and was removed: try again")
    partial.replace(place)


def headers() -> dict[str, str]:
    """The headers of a request: the user's token, if there is one."""
    token = get_token()
    return {"authorization": f"Bearer {token}"} if token else {}
