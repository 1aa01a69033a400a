from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tiny_models import XLM_ROBERTA, tiny_weights, write_checkpoint
from tiny_tokenizers import write_tiny_tokenizer

from e5_onnx_export import ExportRequest, RecipeRequest, export


@dataclass(frozen=True)
class Exported:
    checkpoint: Path
    folder: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A tiny model, before and after its export, that takes the 256 tokens of the longest workload."""
    root = tmp_path_factory.mktemp("exported")
    shape = replace(XLM_ROBERTA, hidden=32, intermediate=64, positions=258)
    tokenizer = write_tiny_tokenizer(root / "tokenizer.json")
    checkpoint = write_checkpoint(root / "checkpoint", shape, tiny_weights(shape), tokenizer)
    folder = root / "folder"
    recipe = RecipeRequest("e5-instruct")
    export(ExportRequest(str(checkpoint), folder, recipe=recipe, reference="none"))
    return Exported(checkpoint, folder)
