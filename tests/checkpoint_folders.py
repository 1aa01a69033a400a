"""Checkpoint folders in every number format and layout that the exporter reads, written without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tiny_models import BERT, InMemoryWeights, config, stored, tiny_weights
from tiny_tokenizers import write_tiny_tokenizer, write_tokenizer_config

from e5_onnx.model_folder.manifest import Architecture

_NUMPY = {"F64": np.float64, "F32": np.float32, "F16": np.float16}

TANH = "torch.nn.modules.activation.Tanh"

Stored = tuple[str, NDArray[np.generic]]


def to_bfloat16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves: exact for values that `as_stored` has rounded."""
    return (values.view(np.uint32) >> 16).astype(np.uint16)


def as_stored(values: NDArray[np.float32], dtype: str) -> NDArray[np.float32]:
    """What float32 values become when they are stored in a number format and read back."""
    if dtype == "BF16":
        return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    return values.astype(_NUMPY[dtype]).astype(np.float32)


def encode(values: NDArray[np.float32], dtype: str) -> Stored:
    rounded = as_stored(values, dtype)
    return dtype, to_bfloat16_bits(rounded) if dtype == "BF16" else rounded.astype(_NUMPY[dtype])


def write_safetensors(path: Path, tensors: Mapping[str, Stored]) -> Path:
    """The file format by hand: safetensors' own NumPy writer knows no bfloat16."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, values) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(values.shape),
            "data_offsets": [offset, offset + values.nbytes],
        }
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(np.ascontiguousarray(values).tobytes() for _, values in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def write_shards(folder: Path, tensors: Mapping[str, Stored], count: int) -> Path:
    """Shards of about as many tensors each, and their index."""
    names = list(tensors)
    placed: dict[str, str] = {}
    for shard in range(count):
        file = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        here = names[shard::count]
        write_safetensors(folder / file, {name: tensors[name] for name in here})
        placed |= dict.fromkeys(here, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": placed}), encoding="utf-8")
    return index


def encoded(
    weights: InMemoryWeights, dtype: str = "F32", prefix: str = "", architecture: Architecture = BERT
) -> dict[str, Stored]:
    return {
        prefix + stored(architecture, name): encode(weights.read(name), dtype) for name in weights.names()
    }


def write_folder(folder: Path, architecture: Architecture, **changes: object) -> Path:
    """A whole float32 checkpoint with a tiny tokenizer; `changes` are made to config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, architecture, **changes)
    write_safetensors(
        folder / "model.safetensors", encoded(tiny_weights(architecture), architecture=architecture)
    )
    write_tiny_tokenizer(folder / "tokenizer.json")
    write_tokenizer_config(folder)
    return folder


def write_config(folder: Path, architecture: Architecture, **changes: object) -> None:
    write_json(folder / "config.json", config(architecture) | changes)


def write_json(path: Path, values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def write_modules(folder: Path, *kinds: str, encoder: str = "", pooling: str = "mean") -> None:
    """modules.json with parts of sentence-transformers, in order, and the pooling's config."""
    rows = [
        {
            "idx": number,
            "name": str(number),
            "path": f"{number}_{kind}" if number else encoder,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", rows)
    modes = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
    write_json(folder / "1_Pooling" / "config.json", {modes[pooling]: True})


def write_dense(
    folder: Path,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | None = None,
    *,
    activation: str = TANH,
) -> None:
    """A Dense module: weight [outputs, inputs]."""
    outputs, inputs = weight.shape
    values = {"in_features": inputs, "out_features": outputs, "bias": bias is not None}
    write_json(folder / "config.json", values | {"activation_function": activation})
    tensors: dict[str, Stored] = {"linear.weight": ("F32", weight)}
    if bias is not None:
        tensors["linear.bias"] = ("F32", bias)
    write_safetensors(folder / "model.safetensors", tensors)
