"""What sentence-transformers' files say of a model: modules, pooling, prompts. All of them are optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.manifest import Pooling
from e5_onnx_export.checkpoint.files import read_json, read_json_object
from e5_onnx_export.checkpoint.model_folder import MODULES_NAME, beside
from e5_onnx_export.checkpoint.prompts import Prompts, read_prompts
from e5_onnx_export.errors import CheckpointError, UnsupportedModelError

_LIBRARY: Final = "sentence_transformers."
# Dropout does nothing where nothing is trained.
_MODULES: Final = ("Transformer", "Pooling", "Normalize", "Dropout")
_POOLINGS: Final[dict[str, Pooling]] = {
    "mean": "mean",
    "cls": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
_USUAL_POOLING: Final = "mean"
_NORMALIZED: Final = "sentence_embedding"


@dataclass(frozen=True, slots=True)
class SentenceFiles:
    """What the files say; None for what they do not.

    Attributes:
        pooling: How token vectors become one.
        normalizes: Whether a Normalize module follows.
        pools_prompt: Whether the tokens of a prompt count in the pooling.
        prompts: What is written before a text.
    """

    pooling: Pooling | None = None
    normalizes: bool | None = None
    pools_prompt: bool = True
    prompts: Prompts | None = None


@dataclass(frozen=True, slots=True)
class _Pooled:
    mode: Pooling
    with_prompt: bool


def read_sentence_files(folder: Path, source: str) -> SentenceFiles:
    """Reads modules.json, its pooling's config and the prompts.

    Args:
        folder: A checkpoint.
        source: Its name, for messages.

    Returns:
        What they say.

    Raises:
        UnsupportedModelError: If they ask for something other than mean or CLS pooling and normalisation.
        CheckpointError: If a file is damaged.
    """
    modules = _read_modules(folder, source)
    kinds = [kind for kind, _ in modules]
    paths = [path for kind, path in modules if kind == "Pooling"]
    pooled = _read_pooling(folder, paths[0], source) if paths else None
    return SentenceFiles(
        pooling=None if pooled is None else pooled.mode,
        normalizes="Normalize" in kinds if kinds else None,
        pools_prompt=pooled is None or pooled.with_prompt,
        prompts=read_prompts(folder, source, is_read=bool(modules)),
    )


def _read_modules(folder: Path, source: str) -> list[tuple[str, str]]:
    """Kinds and paths; empty without the file."""
    if not (folder / MODULES_NAME).exists():
        return []
    rows = read_json(folder / MODULES_NAME)
    if not isinstance(rows, list) or not all(_is_module(row) for row in rows):
        raise CheckpointError(MODULES_NAME, f"holds {rows!r:.80}, not a list of modules")
    modules = []
    for row in rows:
        kind = _kind(row["type"], source)
        modules.append((kind, row["path"]))
        if kind == "Normalize":
            _check_normalize(folder, row["path"], source)
    _check_order([kind for kind, _ in modules if kind != "Dropout"], source)
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
    if kind not in _MODULES:
        raise UnsupportedModelError(
            source, f"{MODULES_NAME} has a module of kind {kind}, and the graph has no such part"
        )
    return kind


def _check_order(kinds: list[str], source: str) -> None:
    first = kinds
    while first[-1:] == ["Normalize"]:
        first = first[:-1]
    if first != ["Transformer", "Pooling"]:
        raise UnsupportedModelError(
            source,
            f"{MODULES_NAME} has the modules {', '.join(kinds) or '(none)'}, where the graph is a "
            "Transformer, a Pooling and a Normalize",
        )


def _check_normalize(folder: Path, path: str, source: str) -> None:
    file = beside(folder, path) / "config.json" if path else None
    if file is None or not file.exists():
        return
    values = read_json_object(file)
    names = {values.get(key, _NORMALIZED) for key in ("module_input_name", "module_output_name")}
    if names != {_NORMALIZED}:
        raise UnsupportedModelError(
            source,
            f"its Normalize module works on {' and '.join(sorted(map(str, names)))}, not on the vector",
        )


def _read_pooling(folder: Path, path: str, source: str) -> _Pooled:
    config = read_json_object(beside(folder, path) / "config.json")
    modes = {key for key, value in config.items() if key.startswith("pooling_mode_") and value}
    named = config.get("pooling_mode")
    if named is not None:
        modes = {named} if isinstance(named, str) else set(map(str, named))
    # sentence-transformers' own default.
    modes = modes or {_USUAL_POOLING}
    if len(modes) != 1 or not modes <= _POOLINGS.keys():
        raise UnsupportedModelError(
            source, f"it pools by {' and '.join(sorted(modes))}, and the graph pools by mean or CLS alone"
        )
    return _Pooled(_POOLINGS[modes.pop()], config.get("include_prompt") is not False)
