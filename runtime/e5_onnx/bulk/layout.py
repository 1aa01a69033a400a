"""Where a bulk run's files lie.

A Parquet data set `vectors/`:

    vectors/part-0000000.parquet ...   rows, in order; readers of data sets pass over names with `_`
    vectors/_e5/state.json           what the run was begun with
    vectors/_e5/journal.jsonl        a line a shard that is done
    vectors/_e5/rejects.jsonl        bad rows, at the end; before that by shard in `rejects/`
    vectors/_e5/partial/             what is being written
    vectors/_e5/lock

One array `vectors.npy`: the same in `vectors.npy.e5/`, with the parts in it until the array is written from
them, and `vectors.ids.parquet` with the ids beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.bulk_job import ARRAY_ENDING

_SIDE: Final = "_e5"


@dataclass(frozen=True, slots=True)
class Layout:
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
        """The folder of what is the run's own."""
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
        """What the run was begun with."""
        return self.side / "state.json"

    @property
    def journal(self) -> Path:
        """What is done."""
        return self.side / "journal.jsonl"

    @property
    def rejects(self) -> Path:
        """All bad rows."""
        return self.side / "rejects.jsonl"

    @property
    def done(self) -> Path:
        """What an array was finished as."""
        return self.side / "done.json"

    @property
    def partial(self) -> Path:
        """The folder of what is being written."""
        return self.side / "partial"

    @property
    def shard_rejects(self) -> Path:
        """The folder of bad rows by shard."""
        return self.side / "rejects"

    def part(self, shard: int) -> Path:
        """The vectors of a shard; in the order of the names lie the rows in order."""
        return self.parts / f"part-{_number(shard)}.parquet"

    def rejects_of(self, shard: int) -> Path:
        """The bad rows of a shard."""
        return self.shard_rejects / f"{_number(shard)}.jsonl"


def _number(shard: int) -> str:
    return f"{shard:07}"
