"""The encoder's tensors among those of a file: found, renamed and compared with the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from e5_onnx.manifest import Architecture
from e5_onnx_export.checkpoint.base import Floats, StoredWeights
from e5_onnx_export.errors import CheckpointError

# None: any number of rows. Only row 0 of the token types is used.
Shape = tuple[int | None, ...]

_WORD_TABLE: Final = "embeddings.word_embeddings.weight"
_NUMBER_FORMATS: Final = ("F32", "F16", "BF16")

# What a checkpoint may hold besides the encoder: heads by the start of their names, and constants.
_HEADS: Final = ("pooler.", "cls.", "lm_head.")
_CONSTANTS: Final = ("embeddings.position_ids", "embeddings.token_type_ids")
# TensorFlow's names, still found in checkpoints such as bert-base-uncased.
_OLD_ENDINGS: Final = ((".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias"))


def tensor_shapes(architecture: Architecture) -> dict[str, Shape]:
    """Returns the canonical names and shapes of every tensor of an encoder.

    Args:
        architecture: The encoder's shape.

    Returns:
        Shapes by name; linears are [out, in] as in torch.
    """
    hidden, inner = architecture.hidden, architecture.intermediate
    shapes: dict[str, Shape] = {
        _WORD_TABLE: (architecture.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (architecture.positions, hidden),
        "embeddings.token_type_embeddings.weight": (None, hidden),
        **_norm("embeddings.LayerNorm", hidden),
    }
    for layer in range(architecture.layers):
        here = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            shapes |= _linear(f"{here}.attention.self.{name}", hidden, hidden)
        shapes |= _linear(f"{here}.attention.output.dense", hidden, hidden)
        shapes |= _norm(f"{here}.attention.output.LayerNorm", hidden)
        shapes |= _linear(f"{here}.intermediate.dense", inner, hidden)
        shapes |= _linear(f"{here}.output.dense", hidden, inner)
        shapes |= _norm(f"{here}.output.LayerNorm", hidden)
    return shapes


def _linear(name: str, outputs: int, inputs: int) -> dict[str, Shape]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, hidden: int) -> dict[str, Shape]:
    return {f"{name}.weight": (hidden,), f"{name}.bias": (hidden,)}


class EncoderWeights:
    """A file's tensors under their canonical names."""

    def __init__(self, stored: StoredWeights, names: Mapping[str, str]) -> None:
        """Keeps the file and the canonical name -> stored name table."""
        self._stored = stored
        self._names = dict(names)

    def names(self) -> tuple[str, ...]:
        """Returns the canonical names."""
        return tuple(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns a tensor's shape without reading it."""
        return self._stored.shape(self._names[name])

    def read(self, name: str) -> Floats:
        """Returns the whole tensor, a copy in float32."""
        return self._stored.read(self._names[name])

    def read_rows(self, name: str, start: int, stop: int) -> Floats:
        """Returns rows `start` to `stop`, cut to the tensor's end."""
        return self._stored.read_rows(self._names[name], start, stop)


def select_encoder(stored: StoredWeights, architecture: Architecture) -> EncoderWeights:
    """Finds the encoder among a file's tensors, and checks all of it before any of it is read.

    Prefixes (`bert.`, `roberta.`, `model.`) are whatever stands before the word table's name.

    Args:
        stored: A file's tensors.
        architecture: What config.json says they should be.

    Returns:
        The encoder's tensors, and only those.

    Raises:
        CheckpointError: If a tensor is missing, of another shape or number format, or has no place in a
            plain encoder; the message names the file and the tensor.
    """
    prefix = _find_prefix(stored)
    found = {}
    for name in stored.names():
        canonical = _modern(name.removeprefix(prefix))
        if canonical.startswith(_HEADS) or canonical in _CONSTANTS:
            continue
        found[canonical if name.startswith(prefix) else name] = name
    expected = tensor_shapes(architecture)
    _refuse_missing(stored, expected, found)
    _refuse_unknown(stored, expected, found)
    for name, shape in expected.items():
        _check_tensor(stored, found[name], shape)
    return EncoderWeights(stored, {name: found[name] for name in expected})


def _find_prefix(stored: StoredWeights) -> str:
    tables = [name for name in stored.names() if name == _WORD_TABLE or name.endswith("." + _WORD_TABLE)]
    if not tables:
        raise CheckpointError(
            stored.label, f"has no tensor {_WORD_TABLE!r}: it is no BERT or RoBERTa encoder"
        )
    if len(tables) > 1:
        raise CheckpointError(stored.label, f"holds more than one encoder: {', '.join(sorted(tables))}")
    return tables[0].removesuffix(_WORD_TABLE)


def _modern(name: str) -> str:
    for old, new in _OLD_ENDINGS:
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def _refuse_missing(stored: StoredWeights, expected: Mapping[str, Shape], found: Mapping[str, str]) -> None:
    missing = [name for name in expected if name not in found]
    if missing:
        raise CheckpointError(
            stored.label, f"has no tensor {missing[0]!r}, which config.json asks for{_more(missing)}"
        )


def _refuse_unknown(stored: StoredWeights, expected: Mapping[str, Shape], found: Mapping[str, str]) -> None:
    # An adapter, a gate or a layer too many would change the vectors: leaving it out silently would be wrong.
    unknown = [name for canonical, name in found.items() if canonical not in expected]
    if unknown:
        raise CheckpointError(
            stored.label,
            f"holds tensor {unknown[0]!r}, which has no place in the encoder of config.json{_more(unknown)}",
        )


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _check_tensor(stored: StoredWeights, name: str, expected: Shape) -> None:
    shape = stored.shape(name)
    if len(shape) != len(expected) or any(
        size != wanted if wanted is not None else size < 1
        for size, wanted in zip(shape, expected, strict=True)
    ):
        wanted = tuple("any" if size is None else size for size in expected)
        raise CheckpointError(
            stored.label,
            f"tensor {name!r} has shape {list(shape)}, config.json asks for [{', '.join(map(str, wanted))}]",
        )
    if stored.dtype(name) not in _NUMBER_FORMATS:
        raise CheckpointError(
            stored.label,
            f"tensor {name!r} is stored as {stored.dtype(name)}; F32, F16 and BF16 can be read: "
            "export from the weights as they were before they were quantised",
        )
