"""A checkpoint of any size from a seed: right for speed, memory and parity, and of no quality at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import numpy as np

from e5_onnx.model_folder.manifest import Architecture, Source
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint import DEMO, Checkpoint, open_checkpoint
from e5_onnx_export.checkpoint.encoder_weights import tensor_shapes

Size = Literal["small", "large"]

# XLM-R's vocabulary, positions and epsilon; the widths are those of multilingual-e5-small and -large.
_SHAPES: Final[dict[Size, tuple[int, int, int, int]]] = {
    "small": (12, 384, 12, 1536),
    "large": (24, 1024, 16, 4096),
}
_SPREAD: Final = 0.02  # initializer_range of every BERT
# Rows that are drawn at once, from a generator of their own: any rows can be had without those before them.
_BLOCK: Final = 4096


def architecture(size: Size) -> Architecture:
    """Returns the shape of a model of the family."""
    layers, hidden, heads, intermediate = _SHAPES[size]
    return Architecture(
        body="xlm-roberta",
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=intermediate,
        vocabulary=250_002,
        positions=514,
        position_offset=2,
        layer_norm_eps=1e-5,
    )


class SeededWeights:
    """Normal weights of spread 0.02, LayerNorms of 1 and 0, made when they are read."""

    def __init__(self, shape: Architecture, seed: int) -> None:
        # None stands for any number of token types: one, as in XLM-R.
        self._shapes = {
            name: tuple(size or 1 for size in sizes) for name, sizes in tensor_shapes(shape).items()
        }
        self._numbers = {name: number for number, name in enumerate(self._shapes)}
        self._seed = seed

    def names(self) -> Iterable[str]:
        """The tensors' names."""
        return self._shapes

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape."""
        return self._shapes[name]

    def read(self, name: str) -> Floats:
        """The whole tensor."""
        return self.read_rows(name, 0, self._shapes[name][0])

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Rows `start` to `stop`."""
        rows, *rest = self._shapes[name]
        stop = min(stop, rows)
        if "LayerNorm" in name:
            return np.full(stop - start, float(name.endswith("weight")), np.float32)
        first = start // _BLOCK
        blocks = [self._block(name, block, rest) for block in range(first, -(-stop // _BLOCK))]
        return np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]

    def _block(self, name: str, block: int, rest: list[int]) -> Floats:
        rows = min(_BLOCK, self._shapes[name][0] - block * _BLOCK)
        generator = np.random.default_rng([self._seed, self._numbers[name], block])
        return generator.standard_normal((rows, *rest), np.float32) * np.float32(_SPREAD)


def seeded_checkpoint(size: Size, seed: int) -> Checkpoint:
    """Returns a seeded checkpoint with the family's real tokenizer.

    Raises:
        MissingExtraError: If the packages of the extra [demo], which carry the tokenizer, are not installed.
    """
    shape = architecture(size)
    note = "random weights, for speed and memory only"
    source = Source(f"seeded-{size}", None, None, f"seed {seed}", note)
    tokenizer = open_checkpoint(DEMO).tokenizer
    return Checkpoint(source, shape, SeededWeights(shape, seed), tokenizer, None)
