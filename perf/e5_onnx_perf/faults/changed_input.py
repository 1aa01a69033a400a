"""Input that is changed while `e5 bulk` runs: the output is of the old rows or the new ones, or refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from e5_onnx_export.arrays import Floats
from e5_onnx_perf.bulk_runs.embed_process import EmbedCommand
from e5_onnx_perf.faults.fault import TOLERANCE, Ground, Outcome
from e5_onnx_perf.faults.program import Ended, end, held, let_go_on, run_program, start, until

_ROWS: Final = 600
_SHARD_ROWS: Final = 20


def _write_jsonl(file: Path, texts: Sequence[str]) -> None:
    rows = [json.dumps({"doc": f"d{number}", "text": text}) for number, text in enumerate(texts)]
    file.write_text("".join(row + "\n" for row in rows), "utf-8")


def _write_csv(file: Path, texts: Sequence[str]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([("doc", "text"), *((f"d{n}", text) for n, text in enumerate(texts))])


def _write_parquet(file: Path, texts: Sequence[str]) -> None:
    table = pa.table({"doc": [f"d{number}" for number in range(len(texts))], "text": list(texts)})
    pq.write_table(table, file, row_group_size=100)


Write = Callable[[Path, Sequence[str]], None]
_FORMATS: Final[dict[str, Write]] = {"jsonl": _write_jsonl, "csv": _write_csv, "parquet": _write_parquet}


@dataclass(frozen=True, slots=True)
class _Change:
    """An input file, what it holds, and what it is to hold.

    Attributes:
        file: The input.
        write: Its format.
        old: The texts of its rows.
        new: As many others, of the same lengths.
    """

    file: Path
    write: Write
    old: Sequence[str]
    new: Sequence[str]

    def append(self) -> None:
        """More rows than before."""
        self.write(self.file, [*self.old, *self.new[:50]])

    def cut(self) -> None:
        """The first half of the bytes."""
        content = self.file.read_bytes()
        with self.file.open("rb+") as opened:
            opened.truncate(len(content) // 2)

    def overwrite(self) -> None:
        """Other texts in the same file, of the same size where the format allows."""
        self.write(self.file, self.new)

    def replace(self) -> None:
        """Another file under the name."""
        beside = self.file.with_name("beside")
        self.write(beside, self.new)
        beside.replace(self.file)

    def remove(self) -> None:
        """No file."""
        self.file.unlink()


_CHANGES: Final = (_Change.append, _Change.cut, _Change.overwrite, _Change.replace, _Change.remove)
_CASES: Final = list(product(_CHANGES, _FORMATS))


def run_fault(ground: Ground, outcome: Outcome) -> None:
    """Changes the input of a run that has written its first shards."""
    old = ground.texts(_ROWS)
    new = [text[::-1] for text in old]
    truth = {"the old rows": ground.truth(old), "the new rows": ground.truth(new)}
    for number in range(ground.trials):
        change, name = _CASES[number % len(_CASES)]
        place = ground.scratch / f"trial-{number}"
        place.mkdir()
        made = _Change(place / f"in.{name}", _FORMATS[name], old, new)
        made.write(made.file, old)
        command = EmbedCommand(ground.folder, made.file, place / "out", _SHARD_ROWS)
        trial = _ChangedRun(command, truth, outcome, f"{name}, {change.__name__} (trial {number})")
        trial.run(lambda change=change, made=made: change(made))  # type: ignore[misc]


@dataclass(frozen=True, slots=True)
class _ChangedRun:
    """One run.

    Attributes:
        command: The command that is run.
        truth: The vectors of all rows, by what they are of.
        outcome: The record of harm.
        what: The change, for sentences.
    """

    command: EmbedCommand
    truth: Mapping[str, Floats]
    outcome: Outcome
    what: str

    def run(self, change: Callable[[], None]) -> None:
        """Changes the input after the first shard."""
        process = start(self.command.words)
        until(lambda: len(self.command.parts) > 0, process)
        if not held(process):
            end(process)
            self.outcome.seen["ended before the change"] += 1
            return
        change()
        let_go_on(process)
        ended = end(process)
        self.outcome.trials += 1
        self.outcome.seen[self._judge(ended)] += 1
        if ended.code != 0:
            self._judge(run_program(self.command.words))

    def _judge(self, ended: Ended) -> str:
        self.outcome.expect(ended.crash is None, f"{self.what}: {ended.crash}")
        if ended.code != 0:
            return "refused"
        found = self._rows()
        self.outcome.expect(found is not None, f"{self.what}: exit code 0, and rows of both")
        return f"done with {found or 'rows of both'}"

    def _rows(self) -> str | None:
        """The input of the output; None for a mixture."""
        table = pa.concat_tables([pq.read_table(part) for part in self.command.parts])
        numbers = np.array([int(name[1:]) for name in table.column("id").to_pylist()])
        found = np.array(table.column("embedding").to_pylist(), np.float32)
        for name, vectors in self.truth.items():
            known = numbers < len(vectors)
            if known.all() and np.abs(found - vectors[numbers]).max() <= TOLERANCE:
                return name
        return None
