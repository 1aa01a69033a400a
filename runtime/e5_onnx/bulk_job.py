"""What a bulk run is asked to do. Doing it needs the extra `[bulk]`, asking does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from e5_onnx.errors import OptionError
from e5_onnx.recipes import Role
from e5_onnx.tokens.tokenization import OverflowPolicy, TokenizerChoice

VectorType = Literal["float32", "float16", "int8"]
BadRowPolicy = Literal["reject", "stop"]
IdentityKind = Literal["content", "mtime"]

VECTOR_TYPES: Final[tuple[VectorType, ...]] = get_args(VectorType)
BAD_ROW_POLICIES: Final[tuple[BadRowPolicy, ...]] = get_args(BadRowPolicy)
IDENTITY_KINDS: Final[tuple[IdentityKind, ...]] = get_args(IdentityKind)

ID: Final = "id"
EMBEDDING: Final = "embedding"
SCALE: Final = "scale"
_OWN_NAMES: Final = (ID, EMBEDDING, SCALE)

ARRAY_ENDING: Final = ".npy"
_STDOUT: Final = "-"
_FOLDER_ENDINGS: Final = ("", ".parquet")

# Some 50 MB of the large model's vectors.
DEFAULT_SHARD_ROWS: Final = 16384
# What a kill costs at most.
DEFAULT_SHARD_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of the input that are read, and how; `.txt` files have only the text column.

    Attributes:
        text_column: The column of the texts.
        id_column: The column that becomes the output's `id`; None for the number of the row in the whole
            input, from 0.
        keep: Columns that are copied into the output.
        delimiter: The character between the cells of CSV; None to find it in each file.

    Raises:
        OptionError: For a name that cannot be in the output, or is there twice, or another delimiter.
    """

    text_column: str = "text"
    id_column: str | None = None
    keep: tuple[str, ...] = ()
    delimiter: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise OptionError("delimiter", self.delimiter, "one character, and no quote or line end")
        for position, name in enumerate(self.keep):
            if name in _OWN_NAMES:
                raise OptionError("keep", name, f"none of the output's own columns, {', '.join(_OWN_NAMES)}")
            if not name or name in self.keep[:position]:
                raise OptionError("keep", ",".join(self.keep), "names of columns, each once")

    @property
    def beside_text(self) -> dict[str, str]:
        """Columns of the output by name, and the columns of the input that they come from."""
        ids = {} if self.id_column is None else {ID: self.id_column}
        return ids | {name: name for name in self.keep}


@dataclass(frozen=True, slots=True)
class Job:
    """A bulk run.

    Attributes:
        model: The model folder.
        inputs: Files, folders and patterns, in order.
        output: A folder for a Parquet data set, or a file that ends with `.npy`.
        columns: The columns of the input that are read.
        role: The role of all texts; None where the model writes all roles alike.
        task: The instruction of queries, or None.
        overflow: How texts beyond the token limit are treated; under `error` they are rejected rows.
        vectors: How components are stored.
        on_bad_row: Whether a bad row is set aside or stops the run.
        shard_rows: The most rows of the input in a part of the output.
        shard_seconds: Seconds after which a part is written though it has fewer rows.
        identity: Whether a file is known to be the same by its content or by its time of change.
        threads: How many texts are worked on at once; None for as many as there are CPUs.
        tokenizer: As for Embedder.

    Raises:
        OptionError: For a value out of range.
    """

    model: Path
    inputs: tuple[str, ...]
    output: Path
    columns: Columns
    role: Role | None = None
    task: str | None = None
    overflow: OverflowPolicy = "warn"
    vectors: VectorType = "float32"
    on_bad_row: BadRowPolicy = "reject"
    shard_rows: int = DEFAULT_SHARD_ROWS
    shard_seconds: float = DEFAULT_SHARD_SECONDS
    identity: IdentityKind = "content"
    threads: int | None = None
    tokenizer: TokenizerChoice = "auto"

    def __post_init__(self) -> None:
        if self.shard_rows < 1:
            raise OptionError("shard_rows", self.shard_rows, "at least 1")
        if not self.shard_seconds > 0:
            raise OptionError("shard_seconds", self.shard_seconds, "more than 0")
        for name in self.inputs:
            if self.output.resolve().is_relative_to(Path(name).resolve()):
                raise OptionError("output", str(self.output), f"outside of the input {name}")


def names_folder(output: str) -> bool:
    """Whether a name is meant for a folder: `out`, `out/`, `out.parquet`, `v1.2`, or a folder that exists."""
    if output == _STDOUT:
        return False
    ending = Path(output).suffix
    return output.endswith("/") or Path(output).is_dir() or ending in _FOLDER_ENDINGS or ending[1:].isdigit()


def output_path(name: str) -> Path:
    """The path of a bulk run's output.

    Raises:
        OptionError: If the name is neither a folder's nor a `.npy` file's.
    """
    if not (names_folder(name) or name.endswith(ARRAY_ENDING)):
        expected = f"a folder or a .npy file; for a folder of this name write {name}/"
        raise OptionError("output", name, expected)
    return Path(name)
