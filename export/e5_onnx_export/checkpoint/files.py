"""Reading the small files of a checkpoint that somebody else made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from e5_onnx_export.errors import CheckpointError

MAX_CONFIG_BYTES: Final = 10_000_000
# bge-m3's and XLM-R's are 17 MB.
MAX_TOKENIZER_BYTES: Final = 100_000_000
_MAX_CARD_BYTES: Final = 64_000
_LFS_POINTER: Final = b"version https://git-lfs"
_LICENCE_LINE: Final = re.compile(
    r"^license:[ \t]*[\"']?([A-Za-z0-9][\w.+-]{0,60})[\"']?[ \t]*$", re.MULTILINE
)


def check_plain_file(path: Path) -> Path:
    """Makes sure that a path is a file with contents, not a device, a folder or a Git LFS pointer.

    Links are followed: the hub's cache is made of them.

    Args:
        path: A file of a checkpoint.

    Returns:
        The same path.

    Raises:
        CheckpointError: If it is missing or something else than a plain file.
    """
    if not path.exists():
        raise CheckpointError(path.name, f"is missing from {path.parent}")
    if not path.is_file():
        raise CheckpointError(path.name, "is not a plain file")
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise CheckpointError(path.name, "is a Git LFS pointer, not the file itself: run `git lfs pull`")
    return path


def read_json(path: Path, limit: int = MAX_CONFIG_BYTES) -> Any:  # noqa: ANN401 - JSON is any type
    """Returns what a JSON file holds.

    Args:
        path: The file.
        limit: The most bytes it may have.

    Raises:
        CheckpointError: If it is missing, too large or not JSON.
    """
    size = check_plain_file(path).stat().st_size
    if size > limit:
        raise CheckpointError(
            path.name, f"has {size} bytes, which is more than the {limit} such a file may have"
        )
    try:
        return json.loads(path.read_bytes())
    # RecursionError: thousands of nested brackets.
    except (ValueError, RecursionError) as error:
        raise CheckpointError(path.name, f"is not JSON ({error})") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Returns the object that a JSON file holds.

    Args:
        path: The file.

    Raises:
        CheckpointError: If it is missing, too large, not JSON or not an object.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise CheckpointError(path.name, f"holds {values!r:.80}, not an object")
    return values


def read_licence(folder: Path) -> str | None:
    """Returns the `license` of the front matter of README.md, or None where it names none."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    with card.open("rb") as file:
        text = (
            file.read(_MAX_CARD_BYTES).decode("utf-8", "replace").replace("\r\n", "\n").removeprefix("\ufeff")
        )
    if not text.startswith("---\n"):
        return None
    front_matter = text[4:].partition("\n---")[0]
    found = _LICENCE_LINE.search(front_matter)
    return found.group(1) if found else None
