"""Where the files of a model lie in a folder on this machine, and what the model is called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from e5_onnx_export.checkpoint.files import read_json
from e5_onnx_export.errors import CheckpointError, SourceNotFoundError

CONFIG_NAME: Final = "config.json"
MODULES_NAME: Final = "modules.json"

# The hub's cache: models--organisation--model/snapshots/COMMIT, where refs/main holds main's commit.
_CACHED: Final = "models--"
_SNAPSHOTS: Final = "snapshots"


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """A model on this machine.

    Attributes:
        top: The folder of sentence-transformers' files.
        encoder: The folder of config.json, the weights and the tokenizer: `top`, or one in it.
        name: The hub's id where the folder is of the hub's cache, else the folder's own name, without where
            it lies.
        revision: The commit that a folder of the hub's cache is of.
    """

    top: Path
    encoder: Path
    name: str
    revision: str | None


def locate(folder: Path) -> CheckpointFolder:
    """Finds out where a model's files are.

    Args:
        folder: An existing folder, as it was named: a link keeps its own name.

    Raises:
        SourceNotFoundError: If it is a folder of the hub's cache that holds no model, or several.
        CheckpointError: If modules.json names a folder that is not there.
    """
    top = _snapshot(folder)
    # Not resolved, which would follow a link and lose its name.
    path = Path(os.path.abspath(top))  # noqa: PTH100
    above = path.parent.parent.name
    if path.parent.name == _SNAPSHOTS and above.startswith(_CACHED):
        return CheckpointFolder(top, encoder_folder(top), _hub_id(above), path.name)
    return CheckpointFolder(top, encoder_folder(top), path.name, None)


def encoder_folder(top: Path) -> Path:
    """Returns the folder that modules.json names for the encoder, or the folder itself.

    Args:
        top: A model's folder.

    Raises:
        CheckpointError: If that folder is not there.
    """
    if not (top / MODULES_NAME).exists():
        return top
    modules = read_json(top / MODULES_NAME)
    rows = modules if isinstance(modules, list) else []
    paths = [row.get("path") for row in rows if isinstance(row, Mapping) and _is_transformer(row)]
    # What else is wrong with the file is said by whoever reads all of it.
    if not paths or not isinstance(paths[0], str) or not paths[0]:
        return top
    inner = beside(top, paths[0])
    if not inner.is_dir():
        raise CheckpointError(
            MODULES_NAME,
            f"names the folder {paths[0]!r:.80} for the encoder, which is missing from {top}: copy or "
            "download it again",
        )
    return inner


def beside(top: Path, path: str) -> Path:
    """Returns a folder that modules.json names, which must be one right beside it.

    Args:
        top: A model's folder.
        path: The folder's name, such as `1_Pooling`.

    Raises:
        CheckpointError: If the name leads elsewhere.
    """
    if not path or PurePosixPath(path).name != path or Path(path).name != path or path == "..":
        raise CheckpointError(MODULES_NAME, f"names the folder {path!r:.80}, which is not one beside it")
    return top / path


def _is_transformer(row: Mapping[str, object]) -> bool:
    return str(row.get("type")).rpartition(".")[2] == "Transformer"


def _snapshot(folder: Path) -> Path:
    """The folder itself, or the one snapshot that a folder of the hub's cache stands for."""
    path = Path(os.path.abspath(folder))  # noqa: PTH100
    cached = path.parent if path.name == _SNAPSHOTS else path
    if not cached.name.startswith(_CACHED) or not (cached / _SNAPSHOTS).is_dir():
        return folder
    snapshots = sorted(entry.name for entry in (cached / _SNAPSHOTS).iterdir() if entry.is_dir())
    main = cached / "refs" / "main"
    current = main.read_text("utf-8", "replace").strip() if main.is_file() else ""
    chosen = current if current in snapshots else snapshots[0] if len(snapshots) == 1 else None
    if chosen is None:
        found = (
            f"the snapshots {', '.join(snapshots)}: give one of them" if snapshots else "no snapshot of it"
        )
        raise SourceNotFoundError(
            str(folder), f"is the hub's cache of {_hub_id(cached.name)}, with {found}, {_SNAPSHOTS}/COMMIT"
        )
    return folder / chosen if path.name == _SNAPSHOTS else folder / _SNAPSHOTS / chosen


def _hub_id(cached: str) -> str:
    return cached.removeprefix(_CACHED).replace("--", "/", 1)
