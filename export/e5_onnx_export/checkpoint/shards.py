"""The index of weights that lie in several files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from e5_onnx_export.checkpoint.files import read_json_object
from e5_onnx_export.errors import CheckpointError


def read_index(index: Path, ending: str) -> dict[str, str]:
    """Returns the file of each tensor.

    Args:
        index: Such as model.safetensors.index.json.
        ending: The end of the files' names.

    Raises:
        CheckpointError: If the index is damaged, or names a file that is missing or not beside it.
    """
    placed = read_json_object(index).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise CheckpointError(index.name, "has no `weight_map`")
    for shard in placed.values():
        if not isinstance(shard, str) or not shard.endswith(ending) or Path(shard).name != shard:
            raise CheckpointError(index.name, f"names {shard!r:.80}, which is not a file beside it")
        if not (index.parent / shard).exists():
            raise CheckpointError(index.name, f"names {shard}, which is missing: copy or download it again")
    return placed


def check_shard(file: str, shard: Iterable[str], placed: Mapping[str, str], *, index: str) -> None:
    """Compares the tensors of one file with those that the index has there.

    Args:
        file: The file's name.
        shard: The tensors that it holds.
        placed: The file of each tensor, from the index.
        index: The index's name.

    Raises:
        CheckpointError: If they differ.
    """
    here = {name for name, where in placed.items() if where == file}
    differing = sorted(here.symmetric_difference(shard))
    if differing:
        raise CheckpointError(file, f"and {index} do not agree on where tensor {differing[0]!r} is")
