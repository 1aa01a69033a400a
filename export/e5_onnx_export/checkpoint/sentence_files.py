"""What sentence-transformers' files say of a model: pooling, prompts. All of them are optional."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.model_folder.manifest import Pooling
from e5_onnx_export.checkpoint.checkpoint_folder import beside
from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.checkpoint.modules import read_modules
from e5_onnx_export.checkpoint.prompts import Prompts, read_prompts
from e5_onnx_export.errors import UnsupportedModelError

_POOLINGS: Final[dict[str, Pooling]] = {
    "mean": "mean",
    "cls": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}
_USUAL_POOLING: Final = "mean"


@dataclass(frozen=True, slots=True)
class SentenceFiles:
    """The settings in the files; None where a file says nothing.

    Attributes:
        pooling: How token vectors become one.
        normalizes: Whether a Normalize module follows.
        pools_prompt: Whether the tokens of a prompt count in the pooling.
        prompts: The strings before a text.
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
        The settings of the files.

    Raises:
        UnsupportedModelError: If they ask for something other than mean or CLS pooling and normalisation.
        CheckpointError: If a file is damaged.
    """
    modules = read_modules(folder, source)
    kinds = [module.kind for module in modules]
    poolings = [module for module in modules if module.kind == "Pooling"]
    pooled = _read_pooling(folder, poolings[0].path, source) if poolings else None
    return SentenceFiles(
        pooling=None if pooled is None else pooled.mode,
        normalizes="Normalize" in kinds if kinds else None,
        pools_prompt=pooled is None or pooled.with_prompt,
        prompts=read_prompts(folder, source, is_read=bool(modules)),
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
