"""Random encoders that transformers itself makes and saves, for tests marked `reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tiny_models import KINDS, config

from e5_onnx.model_folder.manifest import Architecture


def save_random_model(
    folder: Path,
    architecture: Architecture,
    *,
    dtype: torch.dtype = torch.float32,
    shards: int = 1,
    **options: Any,
) -> Any:
    """Saves a seeded model with transformers' own save_pretrained, and returns it."""
    kind = getattr(transformers, KINDS[architecture.body].hf_class)
    settings = {
        key: value
        for key, value in config(architecture).items()
        if key not in ("architectures", "model_type")
    }
    torch.manual_seed(0)
    model = kind(kind.config_class(**settings)).eval().to(dtype)
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    model.save_pretrained(folder, max_shard_size=size if shards == 1 else size // shards + 1000, **options)
    return model
