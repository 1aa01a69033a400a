"""What a bulk run is asked to do. Doing it needs the extra `[bulk]`, asking does not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from e5_onnx.errors import OptionError
from e5_onnx.recipes import Role
from e5_onnx.tokenization import OverflowPolicy, TokenizerChoice

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

# Some 50 MB of the large model's vectors, some seconds to a minute of work: what a kill may cost.
DEFAULT_SHARD_ROWS: Final = 16384


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of the input are read; `.txt` files have only the text column.

    Attributes:
        text_column: The column of the texts.
        id_column: The column that becomes the output's `id`; None for the number of the row in the whole
            input, from 0.
        keep: Columns that are copied into the output.

    Raises:
        OptionError: For a name that cannot be in the output, or is there twice.
    """

    text_column: str = "text"
    id_column: str | None = None
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
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
        columns: Of the input.
        role: Of all texts; None where the model writes them alike.
        task: The instruction of queries, or None.
        overflow: What becomes of texts that are too long; under `error` they are bad rows.
        vectors: How components are stored.
        on_bad_row: Whether a row that is no text is set aside or stops the run.
        shard_rows: Rows of the input that are done or not done together.
        identity: How the input is known again: by what is in the files, or by when they were changed.
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
    identity: IdentityKind = "content"
    threads: int | None = None
    tokenizer: TokenizerChoice = "auto"

    def __post_init__(self) -> None:
        if self.shard_rows < 1:
            raise OptionError("shard_rows", self.shard_rows, "at least 1")
        for name in self.inputs:
            if self.output.resolve().is_relative_to(Path(name).resolve()):
                raise OptionError("output", str(self.output), f"outside of the input {name}")


def names_folder(output: str) -> bool:
    """Whether a name can only be meant for a folder."""
    if output == _STDOUT:
        return False
    return output.endswith("/") or Path(output).is_dir() or Path(output).suffix in _FOLDER_ENDINGS


def output_path(name: str) -> Path:
    """The path of a bulk run's output.

    Raises:
        OptionError: If the name is neither a folder's nor a `.npy` file's.
    """
    if not (names_folder(name) or name.endswith(ARRAY_ENDING)):
        raise OptionError("output", name, "a folder, for a Parquet data set, or a .npy file")
    return Path(name)
