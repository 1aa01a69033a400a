"""The encoder's tensors among those of a file: found, renamed and compared with the architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from e5_onnx.model_folder.manifest import Architecture
from e5_onnx_export.arrays import Floats
from e5_onnx_export.checkpoint.base import StoredWeights, Weights
from e5_onnx_export.checkpoint.bodies import LAYERS, WORD_TABLE, Body, body_of, modern
from e5_onnx_export.checkpoint.spare_tensors import account_for, more, one_alone, refuse_adapters
from e5_onnx_export.errors import CheckpointError

# None: any number of rows. Only row 0 of the token types is used.
Shape = tuple[int | None, ...]

TYPE_TABLE: Final = "embeddings.token_type_embeddings.weight"
_NUMBER_FORMATS: Final = ("F64", "F32", "F16", "BF16")
# A tensor in one of these is an integer or a float of 8 bits or less, and its scale is another tensor.
_QUANTISED: Final = re.compile(r"(torch\.)?(q?u?int[248]|[IU]8|F[468]_|float[468]_).*", re.IGNORECASE)


def tensor_shapes(architecture: Architecture) -> dict[str, Shape]:
    """Returns the canonical names and shapes of every tensor of an encoder.

    Args:
        architecture: The encoder's shape.

    Returns:
        Shapes by name; linears are [out, in] as in torch.
    """
    hidden, inner = architecture.hidden, architecture.intermediate
    shapes: dict[str, Shape] = {
        WORD_TABLE: (architecture.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (architecture.positions, hidden),
        **_norm("embeddings.LayerNorm", hidden),
    }
    if body_of(architecture).has_token_types:
        shapes[TYPE_TABLE] = (None, hidden)
    for layer in range(architecture.layers):
        here = f"{LAYERS}.{layer}"
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


def token_types(weights: Weights) -> int | None:
    """Returns the rows of an encoder's token type table, or None where it has no such table."""
    return weights.shape(TYPE_TABLE)[0] if TYPE_TABLE in weights.names() else None


class EncoderWeights:
    """A file's tensors under their canonical names.

    Attributes:
        left_out: A sentence on the tensors that the encoder does not use; empty where there are none.
    """

    def __init__(self, stored: StoredWeights, names: Mapping[str, str], left_out: str) -> None:
        """Keeps the file and the canonical name -> stored name table."""
        self._stored = stored
        self._names = dict(names)
        self.left_out = left_out

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

    The prefix (`bert.`, `roberta.`, `model.`) precedes the token embedding matrix's name. Only names
    that begin with it are the encoder's.

    Args:
        stored: A file's tensors.
        architecture: The architecture that config.json describes.

    Returns:
        The encoder's tensors, and only those.

    Raises:
        CheckpointError: If a tensor is missing, of another shape or number format, or has no place in a
            plain encoder; the message names the file and the tensor.
    """
    refuse_adapters(stored)
    body = body_of(architecture)
    expected = tensor_shapes(architecture)
    places = {body.stored(name): name for name in expected}
    prefix = _find_prefix(stored, body.stored(WORD_TABLE), body)
    found, spare = _sort(stored, prefix, places)
    left_out = account_for(stored, spare, body, prefix=prefix, places=places)
    missing = [prefix + place for place, name in places.items() if name not in found]
    if missing:
        raise CheckpointError(
            stored.label, f"has no tensor {missing[0]!r}{more(missing)}, which config.json asks for"
        )
    for name, shape in expected.items():
        check_tensor(stored, found[name], shape)
    return EncoderWeights(stored, {name: found[name] for name in expected}, left_out)


def _sort(stored: StoredWeights, prefix: str, places: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The stored names by canonical name, and those that have none."""
    found: dict[str, str] = {}
    spare = []
    for name in stored.names():
        place = modern(name.removeprefix(prefix)) if name.startswith(prefix) else ""
        if place not in places:
            spare.append(name)
            continue
        if places[place] in found:
            raise CheckpointError(
                stored.label,
                f"holds {found[places[place]]!r} and {name!r}, two names of one tensor: "
                "save it with the one that is right",
            )
        found[places[place]] = name
    return found, spare


def _find_prefix(stored: StoredWeights, word_table: str, body: Body) -> str:
    tables = [name for name in stored.names() if name == word_table or name.endswith("." + word_table)]
    if not tables:
        raise CheckpointError(
            stored.label,
            f"has no tensor {word_table!r}, under any prefix: it holds no {body.title} encoder, which "
            "config.json says it does",
        )
    prefixes = sorted(name.removesuffix(word_table) for name in tables)
    if len(prefixes) > 1:
        raise CheckpointError(
            stored.label,
            f"holds {len(prefixes)} encoders, whose names begin with {' and '.join(map(repr, prefixes))}: "
            + one_alone(prefixes[-1], {word_table.partition(".")[0], body.layers.partition(".")[0]}),
        )
    return prefixes[0]


def check_tensor(stored: StoredWeights, name: str, expected: Shape, *, asked_by: str = "config.json") -> None:
    """Compares a tensor's shape with what a config asks for, and sees that its numbers can be read.

    Args:
        stored: A file's tensors.
        name: One of them.
        expected: Its shape.
        asked_by: The config's name, for messages.

    Raises:
        CheckpointError: If it has another shape, or a number format that is not read.
    """
    shape = stored.shape(name)
    if len(shape) != len(expected) or any(
        size != wanted if wanted is not None else size < 1
        for size, wanted in zip(shape, expected, strict=True)
    ):
        wanted = tuple("any" if size is None else size for size in expected)
        raise CheckpointError(
            stored.label,
            f"tensor {name!r} has shape {list(shape)}, {asked_by} asks for [{', '.join(map(str, wanted))}]",
        )
    _check_format(stored, name)


def _check_format(stored: StoredWeights, name: str) -> None:
    number_format = stored.dtype(name)
    if number_format not in _NUMBER_FORMATS:
        remedy = (
            ": export from the weights as they were before they were quantised"
            if _QUANTISED.fullmatch(number_format)
            else ""
        )
        raise CheckpointError(
            stored.label,
            f"tensor {name!r} is stored as {number_format}; {', '.join(_NUMBER_FORMATS)} can be read{remedy}",
        )
