"""Which model's vectors a store holds, written into the metadata of what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from e5_onnx.integrations.errors import MixedVectorsError

FINGERPRINT_KEY: Final = "e5_onnx_fingerprint"
"""The key, in the metadata of a document, of the fingerprint of the model that embedded it."""

SAMPLE: Final = 20
"""How many stored documents are looked at where a store cannot be asked for all."""


def refuse_others(place: str, metadata: Iterable[Mapping[str, Any]], fingerprint: str) -> None:
    """Compares stored metadata with a model.

    Args:
        place: The store, for the message.
        metadata: The metadata of stored documents; a document without a fingerprint is skipped.
        fingerprint: The model's.

    Raises:
        MixedVectorsError: If another model's is among them.
    """
    for values in metadata:
        held = values.get(FINGERPRINT_KEY)
        if held is not None and held != fingerprint:
            raise MixedVectorsError(place, held=str(held), offered=fingerprint)
