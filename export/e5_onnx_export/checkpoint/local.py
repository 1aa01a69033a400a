"""A Hugging Face or sentence-transformers folder on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e5_onnx.model_folder.manifest import TOKENIZER_NAME, Architecture, Source
from e5_onnx_export.checkpoint.base import Checkpoint, StatedLength, StoredWeights
from e5_onnx_export.checkpoint.bin import BIN_INDEX_NAME, BIN_NAME, open_bin
from e5_onnx_export.checkpoint.checkpoint_folder import (
    CONFIG_NAME,
    MODULES_NAME,
    CheckpointFolder,
    beside,
    locate,
)
from e5_onnx_export.checkpoint.config import read_architecture
from e5_onnx_export.checkpoint.dense import Dense, read_dense
from e5_onnx_export.checkpoint.encoder_weights import select_encoder
from e5_onnx_export.checkpoint.files import read_json_object, read_licence
from e5_onnx_export.checkpoint.length import stated_length
from e5_onnx_export.checkpoint.missing_files import no_config, no_tokenizer, no_weights, refuse_adapter
from e5_onnx_export.checkpoint.modules import read_modules
from e5_onnx_export.checkpoint.tokenizer_file import read_tokenizer
from e5_onnx_export.checkpoint.tokenizer_settings import read_tokenizer_settings
from e5_onnx_export.checkpoint.transformer_file import TransformerFile, read_transformer_file
from e5_onnx_export.checkpoint.weights import INDEX_NAME, SINGLE_NAME, open_safetensors, sha256_of


def open_checkpoint_folder(
    folder: Path, *, name: str | None = None, revision: str | None = None
) -> Checkpoint:
    """Opens a folder with config.json, tokenizer.json and weights, or with a folder that holds them.

    Args:
        folder: The folder, or one that the hub keeps in its cache. Nothing in it is ever run.
        name: The checkpoint's name; None for the last part of the folder's path.
        revision: The commit that a copy from the hub is of; None for what the folder's path says.

    Returns:
        The checkpoint, every tensor compared with config.json.

    Raises:
        SourceNotFoundError: If it is a folder of the hub's cache that does not stand for one model.
        UnsupportedModelError: If it is not an encoder that this exporter can author.
        CheckpointError: If a file is missing, damaged or does not go with the others.
        MissingExtraError: If its weights are a pytorch_model.bin and torch is not installed.
    """
    located = locate(folder)
    name, revision = name or located.name, revision or located.revision
    encoder = located.encoder
    refuse_adapter(encoder)
    if not (encoder / CONFIG_NAME).exists():
        raise no_config(encoder)
    config = read_json_object(encoder / CONFIG_NAME)
    architecture = read_architecture(config, name)
    stored = _open_weights(encoder)
    weights = select_encoder(stored, architecture)
    text = _open_tokenizer(located, config, architecture)
    dense = _read_dense_modules(located.top, name, architecture.hidden)
    source = Source(
        name=name,
        revision=revision,
        license=read_licence(located.top),
        weights_sha256=sha256_of([*stored.paths, *(path for part in dense for path in part.paths)]),
    )
    return Checkpoint(
        source,
        architecture,
        weights,
        text.tokenizer,
        located.top,
        encoder,
        stored=stored,
        projections=tuple(part.projection for part in dense),
        length=text.length,
        notes=(weights.left_out,) if weights.left_out else (),
    )


def _read_dense_modules(folder: Path, name: str, width: int) -> list[Dense]:
    found: list[Dense] = []
    for module in read_modules(folder, name):
        if module.kind == "Dense":
            found.append(read_dense(beside(folder, module.path), width))
            width = len(found[-1].projection.bias)
    return found


def _open_weights(folder: Path) -> StoredWeights:
    stored = open_safetensors(folder) or open_bin(folder)
    if stored is None:
        raise no_weights(folder, (SINGLE_NAME, INDEX_NAME, BIN_INDEX_NAME, BIN_NAME))
    return stored


@dataclass(frozen=True, slots=True)
class _Text:
    tokenizer: bytes
    length: StatedLength | None


def _open_tokenizer(
    located: CheckpointFolder, config: Mapping[str, Any], architecture: Architecture
) -> _Text:
    folder = located.encoder
    path = folder / TOKENIZER_NAME
    if not path.exists():
        raise no_tokenizer(folder)
    # Without modules.json sentence-transformers does not look for its other files.
    is_sentence_model = (located.top / MODULES_NAME).exists()
    file = read_transformer_file(folder, config) if is_sentence_model else TransformerFile()
    settings = read_tokenizer_settings(folder, config, file.tokenizer_options)
    tokenizer = read_tokenizer(path, settings, architecture=architecture, lower_case=file.lower_case)
    return _Text(tokenizer, stated_length(file, settings))
