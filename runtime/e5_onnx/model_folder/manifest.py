"""e5.json, the manifest of a model folder, as frozen dataclasses. docs/format.md describes every key."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal

from e5_onnx.errors import FormatVersionError, ManifestError, UnsafeFolderError
from e5_onnx.model_folder.typed_json import read_dataclass
from e5_onnx.recipes import Recipe

FORMAT_VERSION: Final = (1, 0)
MANIFEST_NAME: Final = "e5.json"
GRAPH_NAME: Final = "model.onnx"
WEIGHTS_NAME: Final = "model.onnx.data"
TOKENIZER_NAME: Final = "tokenizer.json"
GOLDEN_NAME: Final = "golden.npz"
LEAN_TOKENIZER_NAME: Final = "tokenizer.tokie"

# The largest real ones: e5.json 60 kB, tokenizer.json 17 MB, model.onnx 1 MB, 4,096 dimensions.
MANIFEST_LIMIT: Final = 4_000_000
SMALL_FILE_LIMIT: Final = 256_000_000
_LARGEST: Final = 1_000_000
_LONGEST_NAME: Final = 255

# The words that this version writes. Folders of a newer one may have others, which are kept as they are.
Precision = Literal["fp32", "int8", "int4", "int8-stock"]
Pooling = Literal["mean", "cls"]

_VECTOR_FILES: Final = (GRAPH_NAME, WEIGHTS_NAME, TOKENIZER_NAME)
_PLACEHOLDER: Final = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Source:
    """The source of the weights."""

    name: str
    revision: str | None
    license: str | None
    weights_sha256: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Architecture:
    """The encoder's shape.

    Attributes:
        body: The kind of encoder, such as `bert` or `xlm-roberta`. Any word is accepted.
        positions: Rows of the position table.
        position_offset: Rows of it that no token uses: pad id + 1 in the RoBERTa family, so 514 rows hold 512
            tokens (transformers#14243); 0 in BERT.
    """

    body: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    position_offset: int
    layer_norm_eps: float


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size and sha256 of one file; `sampled_sha256` is the digest that is checked when the folder opens."""

    bytes: int
    sha256: str
    sampled_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Parity:
    """Distance between the folder's vectors and the reference's, measured at export.

    Cosines are between the two vectors of one text; `centred` ones are taken after the mean reference
    vector has been subtracted, because all e5 cosines lie in 0.7 to 1.0. `cosine_p1` is the first percentile.
    """

    checked: bool
    reference: str
    texts: int = 0
    max_abs: float | None = None
    cosine_mean: float | None = None
    cosine_p1: float | None = None
    cosine_min: float | None = None
    centred_cosine_mean: float | None = None
    centred_cosine_min: float | None = None


@dataclass(frozen=True, slots=True)
class LeanProof:
    """Proof that the small tokenizer gives the same tokens as the true one."""

    library: str
    version: str
    texts: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything the runtime knows about a model folder before it opens the graph.

    Attributes:
        dimension: Components of a vector; other than `architecture.hidden` where a projection follows.
        pooling: How token vectors become one, in the graph; any word.
        precision: How the weights are stored; any word.
        requires: Features that a reader must support to make the right vectors. This version has none.
    """

    source: Source
    architecture: Architecture
    dimension: int
    max_tokens: int
    recipe: Recipe
    pooling: str
    precision: str
    onnxruntime_min: str
    files: dict[str, FileEntry]
    parity: Parity
    tools: dict[str, str]
    baseline: bool = False
    lean_tokenizer: LeanProof | None = None
    weight_bits: int | None = None
    weight_pair_sum: int | None = None
    requires: tuple[str, ...] = ()
    format_version: tuple[int, int] = FORMAT_VERSION
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Sha256 over what decides a vector; folders with the same one may share an index.

        Named fields only: the graph, weights and tokenizer files, precision, pooling, recipe, dimension,
        max_tokens, weight_bits and weight_pair_sum; not the role: queries and documents share a space.
        """
        named = {
            "files": {name: entry.sha256 for name, entry in self.files.items() if name in _VECTOR_FILES},
            "precision": self.precision,
            "pooling": self.pooling,
            "recipe": asdict(self.recipe),
            "dimension": self.dimension,
            "max_tokens": self.max_tokens,
        }
        # What decides on exact kernels (exact_int8.py), where a folder has it.
        kernels = {"weight_bits": self.weight_bits, "weight_pair_sum": self.weight_pair_sum}
        named |= {name: number for name, number in kernels.items() if number is not None}
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """Returns the text of e5.json."""
        values = asdict(self)
        extra = values.pop("extra")
        for name in ("lean_tokenizer", "weight_bits", "weight_pair_sum", "requires"):
            if values[name] in (None, ()):
                del values[name]
        for entry in values["files"].values():
            if entry["sampled_sha256"] is None:
                del entry["sampled_sha256"]
        ordered = {"format_version": list(values.pop("format_version")), **values, **extra}
        return json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"


def parse_manifest(text: str) -> Manifest:
    """Reads e5.json.

    Keys that this version does not know are kept in `extra`: a newer minor version may have them.

    Args:
        text: The whole file.

    Returns:
        The manifest.

    Raises:
        ManifestError: If it is not JSON, a key is missing, or a value has the wrong type.
        FormatVersionError: If the folder is of a newer major version, or needs what this one does not know.
    """
    try:
        values = json.loads(text)
    # RecursionError: thousands of nested brackets from an untrusted file.
    except (ValueError, RecursionError) as error:
        raise ManifestError("the file", f"is not JSON ({error})") from error
    _check_version(values)
    manifest = read_dataclass(Manifest, values)
    _check_known(manifest)
    _check_values(manifest)
    _check_files(manifest.files)
    known = {entry.name for entry in fields(Manifest)}
    return replace(manifest, extra={key: value for key, value in values.items() if key not in known})


def _check_version(values: object) -> None:
    # Before anything else is read: a newer major may have changed every other key.
    if not isinstance(values, dict):
        return
    if "format_version" not in values:
        raise ManifestError("format_version", "is missing")
    version = values["format_version"]
    if (
        isinstance(version, list)
        and version
        and isinstance(version[0], int)
        and version[0] > FORMAT_VERSION[0]
    ):
        raise FormatVersionError(version, FORMAT_VERSION)


def _check_known(manifest: Manifest) -> None:
    """Refuses what changes vectors and is of a newer minor version; all other new words are kept."""
    version = manifest.format_version
    if manifest.requires:
        raise FormatVersionError(version, FORMAT_VERSION, f"requires is {', '.join(manifest.requires)}")
    if version <= FORMAT_VERSION:
        return  # braces in a template are its own: this version writes no other placeholder
    for name in ("query_template", "document_template"):
        for word in _PLACEHOLDER.findall(getattr(manifest.recipe, name)):
            if word not in ("text", "task"):
                unknown = f"recipe.{name} has the placeholder {{{word}}}"
                raise FormatVersionError(version, FORMAT_VERSION, unknown)


def _check_values(manifest: Manifest) -> None:
    for name in ("dimension", "max_tokens"):
        if not 1 <= getattr(manifest, name) <= _LARGEST:
            raise ManifestError(name, f"is {getattr(manifest, name):.9g}, not a number from 1 to {_LARGEST}")
    for name in ("query_template", "document_template"):
        template = getattr(manifest.recipe, name)
        if template.count("{text}") != 1:
            raise ManifestError(f"recipe.{name}", f"is {template!r}, which does not contain {{text}} once")
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})+", manifest.onnxruntime_min):
        raise ManifestError("onnxruntime_min", f"is {manifest.onnxruntime_min!r:.80}, not a version")


def _check_files(files: dict[str, FileEntry]) -> None:
    # For who fetches them, too. Both kinds of separator, and the colon of drives, whatever system this is.
    for name, entry in files.items():
        plain = name.isprintable() and name not in ("", ".", "..", MANIFEST_NAME)
        if not plain or len(name.encode()) > _LONGEST_NAME or any(sign in name for sign in "/\\:"):
            raise UnsafeFolderError(name[:80], "it is listed in e5.json but is not a plain file name")
        if name != WEIGHTS_NAME and entry.bytes > SMALL_FILE_LIMIT:
            raise UnsafeFolderError(name, f"it is larger than {SMALL_FILE_LIMIT // 1_000_000} MB")
