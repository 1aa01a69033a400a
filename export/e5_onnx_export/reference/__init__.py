"""What the exported graph is compared with: the same checkpoint, run by other code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from e5_onnx.errors import MissingExtraError
from e5_onnx.model_folder.manifest import Pooling
from e5_onnx_export.arrays import Floats, Ids
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.reference.numpy_forward import NumpyReference
from e5_onnx_export.reference.second_reading import read_again, read_projections_again

ReferenceChoice = Literal["auto", "torch", "numpy"]


class Reference(Protocol):
    """An encoder that is not the exported graph."""

    @property
    def name(self) -> str:
        """The name in the manifest: `torch` or `numpy`."""

    def embed(self, token_ids: Sequence[Ids]) -> Floats:
        """Returns pooled, normalised vectors [texts, dimension] of token ids, special tokens included."""


def open_reference(choice: ReferenceChoice, checkpoint: Checkpoint, pooling: Pooling) -> Reference:
    """Opens the reference for a checkpoint.

    Args:
        choice: `torch` for transformers' model, `numpy` for the plain NumPy one, `auto` for torch where torch
            and transformers can be imported, else numpy.
        checkpoint: The checkpoint to export.
        pooling: How the token vectors become one.

    Returns:
        The reference. The NumPy one reads the weights again in every call, one layer at a time.

    Raises:
        MissingExtraError: If torch is asked for and torch or transformers is not installed.
        CheckpointError: If the checkpoint's tensors do not fit the model.
    """
    if choice != "numpy":
        try:
            # Here, not at the top: the exporter works without torch.
            from e5_onnx_export.reference.torch_forward import TorchReference
        except ImportError as error:
            if choice == "torch":
                raise MissingExtraError("reference", "torch") from error
        else:
            return TorchReference(checkpoint, pooling)
    return NumpyReference(
        checkpoint.architecture, read_again(checkpoint), pooling, read_projections_again(checkpoint)
    )
