"""A checkpoint written out as a Hugging Face folder, tensor by tensor, for programs that read only those."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
from numpy.typing import NDArray

from e5_onnx.model_folder.manifest import TOKENIZER_NAME
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint.base import Checkpoint, Weights
from e5_onnx_export.checkpoint.bodies import body_of
from e5_onnx_export.checkpoint.checkpoint_folder import CONFIG_NAME
from e5_onnx_export.checkpoint.config import architecture_values
from e5_onnx_export.checkpoint.encoder_weights import token_types
from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.checkpoint.tokenizer_settings import SPECIAL_TOKENS_NAME, TOKENIZER_CONFIG_NAME
from e5_onnx_export.checkpoint.weights import SINGLE_NAME
from e5_onnx_export.errors import CheckpointError
from e5_onnx_export.recipe.special_tokens import special_tokens

StoredFormat = Literal["fp32", "fp16"]

_FORMATS: Final[dict[StoredFormat, tuple[str, type[np.floating[Any]]]]] = {
    "fp32": ("F32", np.float32),
    "fp16": ("F16", np.float16),
}
# Of the checkpoint's own config: code is never run, the rest would speak of other files than these.
_DROPPED: Final = (
    "auto_map",
    "_name_or_path",
    "name_or_path",
    "special_tokens_map_file",
    "tokenizer_file",
    "torch_dtype",
    "dtype",
)
# The class that takes tokenizer.json as it is, by the name that transformers 4 and 5 know; 5 writes its own.
_ANY_TOKENIZER: Final = "PreTrainedTokenizerFast"
_ANY_TOKENIZER_SINCE_5: Final = "TokenizersBackend"
# transformers 4.57.3 to 4.57.6 warn that a large local tokenizer may be an old Mistral's, unless the config
# is of an older version.
_TRANSFORMERS_VERSION: Final = "4.55.0"
# The token embedding matrix of XLM-R large is 1 GB: rows are written by the 16 MB.
_CHUNK_VALUES: Final = 4_000_000


def write_hf_folder(checkpoint: Checkpoint, folder: Path, dtype: StoredFormat = "fp32") -> None:
    """Writes config.json, model.safetensors and the tokenizer's files.

    What the checkpoint's own config and tokenizer files say beyond the architecture is kept, but for remote
    code; where it has none (the demonstration model) they are made from the architecture and tokenizer.json.

    Args:
        checkpoint: The checkpoint to write; its weights are read once, a few rows at a time.
        folder: Made if missing.
        dtype: The number format of the weights.

    Raises:
        CheckpointError: If a value is too large for the number format, or a file cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_config(checkpoint, folder)
    with (folder / SINGLE_NAME).open("wb") as file:
        _write_safetensors(file, checkpoint, dtype)
    shape = checkpoint.architecture
    write_tokenizer(checkpoint, folder, max_tokens=shape.positions - shape.position_offset)


def write_tokenizer(checkpoint: Checkpoint, folder: Path, *, max_tokens: int) -> None:
    """Writes tokenizer.json as it is, and the two files that tell transformers how to use it.

    Args:
        checkpoint: The checkpoint with the tokenizer.
        folder: An existing folder.
        max_tokens: The length at which transformers truncates, special tokens included.

    Raises:
        CheckpointError: If one of the checkpoint's own files cannot be read.
    """
    (folder / TOKENIZER_NAME).write_bytes(checkpoint.tokenizer)
    tokens = special_tokens(checkpoint.tokenizer)
    config = {
        # Without a class transformers goes by the body, and multilingual-e5-small has a BERT body and an
        # XLM-R tokenizer.
        "tokenizer_class": _ANY_TOKENIZER,
        "model_input_names": list(body_of(checkpoint.architecture).inputs),
        "clean_up_tokenization_spaces": False,
        **tokens,
        **_own(checkpoint, TOKENIZER_CONFIG_NAME),
        "model_max_length": max_tokens,
    }
    if config["tokenizer_class"] == _ANY_TOKENIZER_SINCE_5:
        config["tokenizer_class"] = _ANY_TOKENIZER
    # A list since transformers 5, which version 4 cannot open; tokenizer.json has its tokens.
    config.pop("extra_special_tokens", None)
    write_json(folder / TOKENIZER_CONFIG_NAME, config)
    write_json(folder / SPECIAL_TOKENS_NAME, _own(checkpoint, SPECIAL_TOKENS_NAME) or tokens)


def write_config(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes config.json: the checkpoint's own, where it has one, with the sizes that were found to be true.

    Raises:
        CheckpointError: If the checkpoint's own cannot be read.
    """
    write_json(folder / CONFIG_NAME, _config(checkpoint))


def write_json(path: Path, values: object) -> None:
    """Writes JSON as the Hugging Face libraries do: two spaces, text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _own(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    if checkpoint.encoder_folder is None or not (checkpoint.encoder_folder / name).exists():
        return {}
    values = read_json_object(checkpoint.encoder_folder / name)
    return {key: value for key, value in values.items() if key not in _DROPPED}


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    body = body_of(checkpoint.architecture)
    config = _own(checkpoint, CONFIG_NAME)
    model_type = config.get("model_type", next(iter(body.classes)))
    return config | {
        "transformers_version": _TRANSFORMERS_VERSION,
        "architectures": [body.classes[model_type]],
        "model_type": model_type,
        "pad_token_id": config.get("pad_token_id") or 0,
        **architecture_values(checkpoint.architecture, token_types=token_types(checkpoint.weights)),
    }


def _write_safetensors(file: BinaryIO, checkpoint: Checkpoint, dtype: StoredFormat) -> None:
    """The format of https://github.com/huggingface/safetensors: its writer wants all tensors at once."""
    body, weights = body_of(checkpoint.architecture), checkpoint.weights
    stored, number = _FORMATS[dtype]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in weights.names():
        shape = weights.shape(name)
        start, end = end, end + math.prod(shape) * np.dtype(number).itemsize
        header[body.stored(name)] = {"dtype": stored, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in weights.names():
        for chunk in _chunks(weights, name):
            file.write(_cast(chunk, number, name).tobytes())


def _chunks(weights: Weights, name: str) -> Iterator[Floats]:
    rows, *rest = weights.shape(name)
    step = max(_CHUNK_VALUES // math.prod(rest), 1)
    for start in range(0, rows, step):
        yield weights.read_rows(name, start, start + step)


def _cast(values: Floats, number: type[np.floating[Any]], name: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(values, dtype=np.dtype(number).newbyteorder("<"))
    if np.isinf(cast).any() and not np.isinf(values).any():
        raise CheckpointError(SINGLE_NAME, f"tensor {name!r} has values too large for fp16: write it in fp32")
    return cast
