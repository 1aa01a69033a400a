"""sentence-transformers' Dense module: a linear layer and an activation after the pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from e5_onnx_export.checkpoint.base import Activation, Projection, StoredWeights
from e5_onnx_export.checkpoint.bin import BIN_NAME, open_bin
from e5_onnx_export.checkpoint.checkpoint_folder import CONFIG_NAME
from e5_onnx_export.checkpoint.encoder_weights import check_tensor
from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.checkpoint.weights import SINGLE_NAME, open_safetensors
from e5_onnx_export.errors import CheckpointError

_WEIGHT: Final = "linear.weight"
_BIAS: Final = "linear.bias"
_TANH: Final = "torch.nn.modules.activation.Tanh"
_ACTIVATIONS: Final[dict[str, Activation]] = {
    _TANH: "tanh",
    "torch.nn.modules.linear.Identity": "identity",
}
_VECTOR: Final = "sentence_embedding"


@dataclass(frozen=True, slots=True)
class Dense:
    """A module that was read: the layer, and the files of its weights."""

    projection: Projection
    paths: tuple[Path, ...]


def read_dense(folder: Path, inputs: int) -> Dense:
    """Reads a Dense module.

    Args:
        folder: The module's own, such as `2_Dense`.
        inputs: Components of the vectors that it gets.

    Raises:
        CheckpointError: If a file is missing or damaged, or the module does what the graph does not.
        MissingExtraError: If its weights are a pytorch_model.bin and torch is not installed.
    """
    config = read_json_object(folder / CONFIG_NAME)
    activation = _activation(config, folder)
    names = {config.get(key) or _VECTOR for key in ("module_input_name", "module_output_name")}
    if names != {_VECTOR}:
        raise _wrong(folder, f"works on {' and '.join(sorted(map(str, names)))}, not on the pooled vector")
    outputs, wanted = config.get("out_features"), config.get("in_features")
    if wanted != inputs:
        raise _wrong(folder, f"takes vectors of {wanted!r:.40} components, and the pooling gives {inputs}")
    if not isinstance(outputs, int) or isinstance(outputs, bool) or outputs < 1:
        raise _wrong(folder, f"has out_features {outputs!r:.40}, not a positive number")
    stored = open_safetensors(folder) or open_bin(folder)
    if stored is None:
        raise CheckpointError(
            SINGLE_NAME, f"is missing from {folder}, and so is {BIN_NAME}: copy or download the model again"
        )
    has_bias = config.get("bias", True) is not False
    _check(stored, folder, (outputs, inputs), has_bias=has_bias)
    bias = stored.read(_BIAS) if has_bias else np.zeros(outputs, np.float32)
    return Dense(Projection(stored.read(_WEIGHT), bias, activation), stored.paths)


def _activation(config: Mapping[str, Any], folder: Path) -> Activation:
    name = config.get("activation_function", _TANH)
    # Code that is not torch's own is never run, by sentence-transformers either: it takes its default.
    if isinstance(name, str) and not name.startswith("torch."):
        raise _wrong(folder, f"has the activation {name!r:.80}, which is code of its own and never run")
    if name not in _ACTIVATIONS:
        known = " and ".join(word.rpartition(".")[2] for word in _ACTIVATIONS)
        raise _wrong(folder, f"has the activation {name!r:.80}, where the graph has {known}")
    return _ACTIVATIONS[name]


def _check(stored: StoredWeights, folder: Path, shape: tuple[int, int], *, has_bias: bool) -> None:
    expected = {_WEIGHT: shape, **({_BIAS: shape[:1]} if has_bias else {})}
    differing = sorted(set(stored.names()) ^ expected.keys())
    if differing:
        raise _wrong(folder, f"and {stored.label} do not agree on whether there is a tensor {differing[0]!r}")
    for name, sizes in expected.items():
        check_tensor(stored, name, sizes, asked_by=f"{folder.name}/{CONFIG_NAME}")


def _wrong(folder: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{folder.name}/{CONFIG_NAME}", reason)
