"""A Hugging Face or sentence-transformers folder on this machine."""

from __future__ import annotations

from pathlib import Path

from e5_onnx.manifest import TOKENIZER_NAME, Source
from e5_onnx_export.checkpoint.base import Checkpoint, StoredWeights
from e5_onnx_export.checkpoint.bin import BIN_INDEX_NAME, BIN_NAME, open_bin
from e5_onnx_export.checkpoint.config import read_architecture
from e5_onnx_export.checkpoint.encoder_weights import select_encoder
from e5_onnx_export.checkpoint.files import read_json_object, read_licence
from e5_onnx_export.checkpoint.missing_files import no_config, no_tokenizer, no_weights, refuse_adapter
from e5_onnx_export.checkpoint.model_folder import CONFIG_NAME, locate
from e5_onnx_export.checkpoint.tokenizer_file import check_tokenizer
from e5_onnx_export.checkpoint.weights import INDEX_NAME, SINGLE_NAME, open_safetensors, sha256_of


def open_folder(folder: Path, *, name: str | None = None, revision: str | None = None) -> Checkpoint:
    """Opens a folder with config.json, tokenizer.json and weights, or with a folder that holds them.

    Args:
        folder: The folder, or one that the hub keeps in its cache. Nothing in it is ever run.
        name: What the checkpoint is called; None for what the folder's path says.
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
    tokenizer = _find_tokenizer(encoder)
    check_tokenizer(tokenizer, architecture.vocabulary)
    source = Source(
        name=name,
        revision=revision,
        license=read_licence(located.top),
        weights_sha256=sha256_of(stored.paths),
    )
    notes = (weights.left_out,) if weights.left_out else ()
    return Checkpoint(source, architecture, weights, tokenizer, located.top, encoder, stored, notes)


def _open_weights(folder: Path) -> StoredWeights:
    stored = open_safetensors(folder) or open_bin(folder)
    if stored is None:
        raise no_weights(folder, (SINGLE_NAME, INDEX_NAME, BIN_INDEX_NAME, BIN_NAME))
    return stored


def _find_tokenizer(folder: Path) -> Path:
    tokenizer = folder / TOKENIZER_NAME
    if not tokenizer.exists():
        raise no_tokenizer(folder)
    return tokenizer
