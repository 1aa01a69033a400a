"""Checkpoints: the demonstration model, a local folder or a model on the hub, all opened the same way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from e5_onnx_export.checkpoint.base import Checkpoint, Weights
from e5_onnx_export.checkpoint.demo import open_demo
from e5_onnx_export.checkpoint.local import open_checkpoint_folder
from e5_onnx_export.errors import RevisionError, SourceNotFoundError

__all__ = ["DEMO", "Checkpoint", "Weights", "is_hub_id", "open_checkpoint"]

DEMO: Final = "demo"
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def open_checkpoint(source: str, *, revision: str | None = None) -> Checkpoint:
    """Opens a checkpoint.

    Args:
        source: `demo`, an existing folder, or a model's id on the hub. A folder called `demo` is `./demo`.
        revision: A branch, tag or commit of a model on the hub.

    Returns:
        The checkpoint, with its weights still on disk.

    Raises:
        SourceNotFoundError: If it is neither a folder nor a model on the hub.
        RevisionError: If there is a revision and it is not a model on the hub.
        HubError: If it cannot be downloaded.
        UnsupportedModelError: If it is not an encoder that this exporter can author.
        CheckpointError: If a file is missing, damaged or does not go with the others.
        MissingExtraError: If it needs a package that is not installed.
    """
    if source == DEMO:
        _refuse_revision(source, revision, "the demonstration model")
        return open_demo()
    path = Path(source)
    # Path("") is the working directory, but no text at all is no name for it.
    if source and path.is_dir():
        _refuse_revision(source, revision, "a folder on this machine")
        return open_checkpoint_folder(path)
    if source and path.exists():
        raise SourceNotFoundError(source, "is a file: give the folder that holds config.json")
    if not is_hub_id(source):
        raise SourceNotFoundError(
            source,
            "there is no such folder here, and it is not a model's id on the hub (`organisation/model`)",
        )
    # Here, because the hub's library takes long to import and other sources do not need it.
    from e5_onnx_export.checkpoint.hub import open_hub_model

    return open_hub_model(source, revision=revision)


def is_hub_id(source: str) -> bool:
    """Whether a source is written as a model's id on the hub is: `organisation/model`, or `model`."""
    return _HUB_ID.fullmatch(source) is not None


def _refuse_revision(source: str, revision: str | None, what: str) -> None:
    if revision is not None:
        raise RevisionError(source, what)
