"""A checkpoint so small that its export takes as long as starting Python."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from e5_onnx.model_folder.manifest import TOKENIZER_NAME, Architecture, Source
from e5_onnx_export.checkpoint import Checkpoint
from e5_onnx_export.standard.hf_folder import write_hf_folder
from e5_onnx_perf.checkpoints.seeded import SeededWeights

_WIDTH: Final = 32


def write_tiny_checkpoint(folder: Path, *, model: Path, seed: int) -> Path:
    """Writes a checkpoint of seeded weights with the tokenizer of a model folder; returns its folder."""
    tokenizer = model / TOKENIZER_NAME
    shape = Architecture(
        body="xlm-roberta",
        layers=2,
        hidden=_WIDTH,
        heads=2,
        intermediate=2 * _WIDTH,
        vocabulary=Tokenizer.from_file(str(tokenizer)).get_vocab_size(),
        positions=130,
        position_offset=2,
        layer_norm_eps=1e-5,
    )
    source = Source("tiny", None, None, f"seed {seed}", None)
    write_hf_folder(
        Checkpoint(source, shape, SeededWeights(shape, seed), tokenizer.read_bytes(), None), folder
    )
    return folder
