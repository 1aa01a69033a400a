"""From what is written on the command line to models that can be compared with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from e5_onnx.model_folder.manifest import Manifest
from e5_onnx_perf.accuracy.checkpoint_model import open_sentence_transformers, open_torch
from e5_onnx_perf.accuracy.folder_model import open_model_folder, read_manifest
from e5_onnx_perf.accuracy.measured_model import MeasuredModel
from e5_onnx_perf.errors import MismatchError

_CHECKPOINTS: Final[dict[str, Callable[[str, Manifest | None], MeasuredModel]]] = {
    "torch": open_torch,
    "st": open_sentence_transformers,
}


def open_models(specs: Sequence[str], *, threads: int | None = None) -> list[MeasuredModel]:
    """Opens what is to be compared.

    Checkpoints are given the recipe of the first model folder, where there is one.

    Args:
        specs: Each a model folder, `torch:PATH_OR_ID` or `st:PATH_OR_ID`.
        threads: The number of threads of each model; None chooses.

    Raises:
        FolderError: If a folder is not a sound model folder.
        CheckpointError: If a checkpoint is not sound.
        MismatchError: If their dimensions or recipes differ.
        MissingExtraError: If torch or sentence-transformers is needed and not installed.
    """
    manifests = [read_manifest(Path(spec)) for spec in specs if _kind(spec) is None]
    recipe = manifests[0] if manifests else None
    models = []
    for spec in specs:
        kind = _kind(spec)
        if kind is None:
            models.append(open_model_folder(Path(spec), threads=threads))
        else:
            models.append(_CHECKPOINTS[kind](spec.partition(":")[2], recipe))
    _refuse_mismatch(models)
    return _with_names_of_their_own(models, specs)


def _kind(spec: str) -> str | None:
    prefix, separator, _ = spec.partition(":")
    return prefix if separator and prefix in _CHECKPOINTS else None


def _refuse_mismatch(models: Sequence[MeasuredModel]) -> None:
    first = models[0]
    for other in models[1:]:
        for what, left, right in (
            ("dimension", first.dimension, other.dimension),
            ("recipe", _templates(first), _templates(other)),
        ):
            if left != right:
                raise MismatchError(what, (first.name, left), (other.name, right))


def _templates(model: MeasuredModel) -> tuple[str, str]:
    return model.recipe.query_template, model.recipe.document_template


def _with_names_of_their_own(models: list[MeasuredModel], specs: Sequence[str]) -> list[MeasuredModel]:
    """Folders of the same name are told apart by the folders that hold them."""
    counts = Counter(model.name for model in models)
    return [
        replace(model, name=str(Path(*Path(spec).parts[-2:]))) if counts[model.name] > 1 else model
        for model, spec in zip(models, specs, strict=True)
    ]
