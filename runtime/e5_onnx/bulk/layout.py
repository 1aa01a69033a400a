"""Where a bulk run's files lie.

A Parquet data set `vectors/`:

    vectors/part-000000000000.parquet ...   rows, in order; the number is that of the first row of the input.
                                            Readers of data sets ignore names that begin with `_`.
    vectors/_e5/state.json                  what the run was started with
    vectors/_e5/journal.jsonl               a line for each finished shard
    vectors/_e5/rejects.jsonl               all bad rows, at the end; before that by shard in `rejects/`
    vectors/_e5/partial/                    what is being written
    vectors/_e5/lock                        held by the process that writes

One array `vectors.npy`: the same in `vectors.npy.e5/`, with the parts in it until the array is written from
them, and `vectors.ids.parquet` with the ids beside the array.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.bulk_job import ARRAY_ENDING

_SIDE: Final = "_e5"
_PART: Final = re.compile(r"part-\d{12}\.parquet")


@dataclass(frozen=True, slots=True)
class OutputLayout:
    """The paths of one output.

    Attributes:
        output: As it was asked for.
    """

    output: Path

    @property
    def is_array(self) -> bool:
        """Whether the output is one `.npy` file."""
        return self.output.suffix == ARRAY_ENDING

    @property
    def side(self) -> Path:
        """The folder of the run's own files."""
        return self.output.with_name(f"{self.output.name}.e5") if self.is_array else self.output / _SIDE

    @property
    def parts(self) -> Path:
        """The folder of the parts."""
        return self.side / "parts" if self.is_array else self.output

    @property
    def ids(self) -> Path:
        """The file of the ids of an array."""
        return self.output.with_suffix(".ids.parquet")

    @property
    def lock(self) -> Path:
        """Held while a process writes."""
        return self.side / "lock"

    @property
    def state(self) -> Path:
        """The file with the settings of the run."""
        return self.side / "state.json"

    @property
    def journal(self) -> Path:
        """The file that lists the finished shards."""
        return self.side / "journal.jsonl"

    @property
    def rejects(self) -> Path:
        """All bad rows."""
        return self.side / "rejects.jsonl"

    @property
    def done(self) -> Path:
        """The hashes of a finished array."""
        return self.side / "done.json"

    @property
    def partial(self) -> Path:
        """The folder of what is being written."""
        return self.side / "partial"

    @property
    def shard_rejects(self) -> Path:
        """The folder of bad rows by shard."""
        return self.side / "rejects"

    def part(self, first: int) -> Path:
        """The vectors of the shard that begins with this row; parts sorted by name are in order of rows."""
        return self.parts / f"part-{first:012}.parquet"

    def rejects_of(self, first: int) -> Path:
        """The bad rows of the shard that begins with this row."""
        return self.shard_rejects / f"{first:012}.jsonl"

    def sha256(self, first: int, rejected: int) -> str:
        """Hashes the part and the bad rows of a shard.

        Args:
            first: The first row of the shard.
            rejected: The number of its bad rows.

        Raises:
            OSError: If one of them cannot be read.
        """
        digest = hashlib.sha256()
        for path in (self.part(first), *([self.rejects_of(first)] if rejected else [])):
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        return digest.hexdigest()

    def remove_others(self, kept: Collection[int]) -> None:
        """Removes the parts of shards that are not done, such as those of a process that was killed.

        Args:
            kept: The first rows of the finished shards.
        """
        names = {self.part(first).name for first in kept}
        for part in self.parts.iterdir():
            if _PART.fullmatch(part.name) and part.name not in names:
                part.unlink()
