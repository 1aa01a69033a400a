"""Model folders spoiled on purpose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest."""
    manifest = json.loads((folder / "e5.json").read_text("utf-8"))
    change(manifest)
    (folder / "e5.json").write_text(json.dumps(manifest), "utf-8")


def relist(folder: Path, name: str) -> None:
    """Makes the manifest agree with a file again, as somebody who means harm would."""
    data = (folder / name).read_bytes()
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(folder, lambda manifest: manifest["files"].update({name: entry}))


def unlist(folder: Path, name: str) -> None:
    """Takes a file out of the manifest."""
    edit(folder, lambda manifest: manifest["files"].pop(name))


def flip(file: Path, position: int) -> None:
    """Flips one bit."""
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)
