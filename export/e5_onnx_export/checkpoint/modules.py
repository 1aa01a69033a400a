"""modules.json: the parts of a sentence-transformers model, in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx_export.checkpoint.checkpoint_folder import MODULES_NAME, beside
from e5_onnx_export.checkpoint.files import read_json, read_json_object
from e5_onnx_export.errors import CheckpointError, UnsupportedModelError

_LIBRARY: Final = "sentence_transformers."
# In the order of the graph; Dropout does nothing where nothing is trained, and may stand anywhere.
_KINDS: Final = ("Transformer", "Pooling", "Dense", "Normalize", "Dropout")
_ORDER: Final = re.compile(r"Transformer Pooling( Dense)*( Normalize)*")
_VECTOR: Final = "sentence_embedding"


@dataclass(frozen=True, slots=True)
class Module:
    """One part.

    Attributes:
        kind: sentence-transformers' class, without where it is defined.
        path: The folder of its files.
    """

    kind: str
    path: str


def read_modules(folder: Path, source: str) -> list[Module]:
    """Reads modules.json.

    Args:
        folder: A checkpoint.
        source: Its name, for messages.

    Returns:
        The parts, Dropout left out; none where there is no such file.

    Raises:
        UnsupportedModelError: If there is a part that the graph does not have, or in another order.
        CheckpointError: If the file is damaged.
    """
    if not (folder / MODULES_NAME).exists():
        return []
    rows = read_json(folder / MODULES_NAME)
    if not isinstance(rows, list) or not all(_is_module(row) for row in rows):
        raise CheckpointError(MODULES_NAME, f"holds {rows!r:.80}, not a list of modules")
    modules = [Module(_kind(row["type"], source), row["path"]) for row in rows]
    for module in modules:
        if module.kind == "Normalize":
            _check_normalize(folder, module.path, source)
    modules = [module for module in modules if module.kind != "Dropout"]
    _check_order([module.kind for module in modules], source)
    return modules


def _is_module(module: object) -> bool:
    return (
        isinstance(module, Mapping)
        and isinstance(module.get("type"), str)
        and isinstance(module.get("path"), str)
    )


def _kind(module_type: str, source: str) -> str:
    kind = module_type.rpartition(".")[2]
    if not module_type.startswith(_LIBRARY):
        raise UnsupportedModelError(
            source, f"its module {module_type!r:.80} is code of its own, and remote code is never run"
        )
    if kind not in _KINDS:
        raise UnsupportedModelError(
            source, f"{MODULES_NAME} has a module of kind {kind}, and the graph has no such part"
        )
    return kind


def _check_order(kinds: list[str], source: str) -> None:
    if not _ORDER.fullmatch(" ".join(kinds)):
        raise UnsupportedModelError(
            source,
            f"{MODULES_NAME} has the modules {', '.join(kinds) or '(none)'}, where the graph is a "
            "Transformer, a Pooling, then Dense modules if any, and a Normalize",
        )


def _check_normalize(folder: Path, path: str, source: str) -> None:
    file = beside(folder, path) / "config.json" if path else None
    if file is None or not file.exists():
        return
    values = read_json_object(file)
    names = {values.get(key, _VECTOR) for key in ("module_input_name", "module_output_name")}
    if names != {_VECTOR}:
        raise UnsupportedModelError(
            source,
            f"its Normalize module works on {' and '.join(sorted(map(str, names)))}, not on the vector",
        )
