"""A Hugging Face or sentence-transformers folder on this machine."""

from __future__ import annotations

from pathlib import Path

from e5_onnx.manifest import TOKENIZER_NAME, Source
from e5_onnx_export.checkpoint.base import Checkpoint, StoredWeights
from e5_onnx_export.checkpoint.bin import BIN_NAME, open_bin
from e5_onnx_export.checkpoint.config import read_architecture
from e5_onnx_export.checkpoint.encoder_weights import select_encoder
from e5_onnx_export.checkpoint.files import read_json_object, read_licence
from e5_onnx_export.checkpoint.tokenizer_file import check_tokenizer
from e5_onnx_export.checkpoint.weights import INDEX_NAME, SINGLE_NAME, open_safetensors, sha256_of
from e5_onnx_export.errors import CheckpointError

CONFIG_NAME = "config.json"


def open_folder(folder: Path, *, name: str | None = None, revision: str | None = None) -> Checkpoint:
    """Opens a folder with config.json, tokenizer.json and weights; other files may be there.

    Args:
        folder: The folder. Nothing in it is ever run.
        name: What the checkpoint is called; None for the folder's own name, without where it lies.
        revision: The commit that a copy from the hub is of.

    Returns:
        The checkpoint, every tensor compared with config.json.

    Raises:
        UnsupportedModelError: If it is not an encoder that this exporter can author.
        CheckpointError: If a file is missing, damaged or does not go with the others.
        MissingExtraError: If its weights are a pytorch_model.bin and torch is not installed.
    """
    name = name or folder.resolve().name
    if not (folder / CONFIG_NAME).exists():
        raise CheckpointError(CONFIG_NAME, f"is missing from {folder}: it is not a Hugging Face model folder")
    architecture = read_architecture(read_json_object(folder / CONFIG_NAME), name)
    stored = _open_weights(folder)
    weights = select_encoder(stored, architecture)
    tokenizer = _find_tokenizer(folder)
    check_tokenizer(tokenizer, architecture.vocabulary)
    source = Source(
        name=name,
        revision=revision,
        license=read_licence(folder),
        weights_sha256=sha256_of(stored.paths),
    )
    notes = (weights.left_out,) if weights.left_out else ()
    return Checkpoint(source, architecture, weights, tokenizer, folder, stored, notes)


def _open_weights(folder: Path) -> StoredWeights:
    safetensors = open_safetensors(folder)
    if safetensors is not None:
        return safetensors
    if (folder / BIN_NAME).exists():
        return open_bin(folder / BIN_NAME)
    raise CheckpointError(
        SINGLE_NAME, f"is missing from {folder}, and so are {INDEX_NAME} and {BIN_NAME}: there are no weights"
    )


def _find_tokenizer(folder: Path) -> Path:
    tokenizer = folder / TOKENIZER_NAME
    if not tokenizer.exists():
        raise CheckpointError(
            TOKENIZER_NAME,
            f"is missing from {folder}: save the fast tokenizer there with transformers, "
            f"`AutoTokenizer.from_pretrained(FOLDER, use_fast=True).save_pretrained(FOLDER)`",
        )
    return tokenizer
