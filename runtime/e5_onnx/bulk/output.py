"""Output directory: locked by one process, created once, resumed by later runs with the same settings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any, Final

from filelock import FileLock, Timeout

from e5_onnx.bulk.array_output import is_finished, write_array
from e5_onnx.bulk.errors import OutputBusyError, OutputExistsError, ResumeError, ShardLostError
from e5_onnx.bulk.journal import Journal, Receipt, RunState, read_journal, read_state, write_state
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.plan import ShardPlan
from e5_onnx.bulk.survey import FileIdentity
from e5_onnx.machine.atomic_file import atomic_file, sync_folder

# Of the layout and of how rows become vectors: an older output cannot be resumed.
_VERSION: Final = 2


@contextmanager
def open_output(layout: OutputLayout) -> Iterator[Output]:
    """Locks an output, so that no other process writes there until this one ends, however it ends.

    Raises:
        OutputExistsError: If something else is there.
        OutputBusyError: If another process writes there.
        OSError: If it cannot be written.
    """
    _refuse_strangers(layout)
    for folder in (layout.side, layout.parts, layout.partial, layout.shard_rejects):
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
    lock = FileLock(layout.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputBusyError(layout.output) from error
    try:
        with closing(Output(layout)) as output:
            yield output
    finally:
        lock.release()


def _refuse_strangers(layout: OutputLayout) -> None:
    output = layout.output
    if layout.is_array:
        taken = output.is_dir()
    else:
        inside = output.iterdir() if output.is_dir() else ()
        taken = output.is_file() or any(path != layout.side for path in inside)
    if taken and read_state(layout.state) is None:
        raise OutputExistsError(output)


class Output:
    """The output of a run: its finished shards, and the new ones.

    Attributes:
        receipts: The receipts of the finished shards, by their first rows; empty before `begin`.
    """

    def __init__(self, layout: OutputLayout) -> None:
        self.layout = layout
        self.receipts: dict[int, Receipt] = {}
        self._state = read_state(layout.state)
        self._journal: Journal | None = None
        self._array_is_finished = False

    @property
    def rows(self) -> int:
        """The number of rows of the input that are done."""
        return sum(receipt.rows for receipt in self.receipts.values())

    def check(self, settings: Mapping[str, Any]) -> None:
        """Compares settings with those that the output was started with, if it was.

        Raises:
            ResumeError: Naming the first that differs.
        """
        if self._state is None:
            return
        now = {"layout version": _VERSION, **settings}
        before = {"layout version": self._state.version, **self._state.settings}
        for name, value in now.items():
            if before.get(name) != value:
                raise ResumeError(self.layout.output, name, begun=before.get(name), now=value)

    def begin(self, settings: Mapping[str, Any], files: Sequence[FileIdentity], plan: ShardPlan) -> None:
        """Starts an output, or resumes one: finds which shards are done and removes what is half done.

        Raises:
            ResumeError: Naming the first input file that differs.
            OSError: If nothing can be written.
        """
        now = [asdict(file) for file in files]
        # No other process writes here now: what is half written was left by one that was killed.
        for partial in self.layout.partial.iterdir():
            partial.unlink()
        if self._state is None:
            write_state(self.layout.state, RunState(_VERSION, dict(settings), now))
        else:
            self._compare_input(self._state.input, now)
            self.receipts = self._find_receipts(plan)
        if not self._array_is_finished:
            self.layout.remove_others(self.receipts)
        self._journal = Journal(self.layout.journal, self.receipts.values())

    def commit(self, receipt: Receipt) -> None:
        """Counts a shard as done, for good.

        Raises:
            ShardLostError: If its part is not there.
            OSError: If that cannot be written down.
        """
        if not self.layout.part(receipt.first).is_file():
            raise ShardLostError(self.layout.part(receipt.first))
        assert self._journal is not None, "the run was not begun"  # noqa: S101 - for the type checker
        self._journal.add(receipt)
        self.receipts[receipt.first] = receipt

    def finish(self) -> None:
        """Joins what lies in shards: bad rows in order and, if the output is an array, the array.

        Raises:
            OSError: If it cannot be written; then it may be tried again.
        """
        layout = self.layout
        if self._array_is_finished:
            return
        with atomic_file(layout.rejects, workplace=layout.partial) as file:
            for first in sorted(self.receipts):
                if self.receipts[first].rejected:
                    file.write(layout.rejects_of(first).read_bytes())
        if layout.is_array:
            write_array(layout, [self.receipts[first] for first in sorted(self.receipts)])
            shutil.rmtree(layout.parts)
            layout.parts.mkdir()

    def close(self) -> None:
        """Closes the journal."""
        if self._journal is not None:
            self._journal.close()

    def _find_receipts(self, plan: ShardPlan) -> dict[int, Receipt]:
        """The receipts of shards that are there as they were written."""
        found = {receipt.first: receipt for receipt in read_journal(self.layout.journal)}
        shards = plan.accepted({first: receipt.rows for first, receipt in found.items()})
        self._array_is_finished = sum(shards.values()) == plan.rows and is_finished(self.layout)
        if self._array_is_finished:
            return {first: found[first] for first in shards}
        with ThreadPoolExecutor() as pool:
            are_whole = pool.map(self._is_whole, [found[first] for first in shards])
            return {first: found[first] for first, whole in zip(shards, are_whole, strict=True) if whole}

    def _is_whole(self, receipt: Receipt) -> bool:
        try:
            return self.layout.sha256(receipt.first, receipt.rejected) == receipt.sha256
        except FileNotFoundError:
            return False

    def _compare_input(self, begun: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> None:
        if len(begun) != len(now):
            raise ResumeError(self.layout.output, "files", begun=len(begun), now=len(now))
        for number, (before, after) in enumerate(zip(begun, now, strict=True)):
            if before != after:
                what = f"input file {number}"
                raise ResumeError(self.layout.output, what, begun=_shown(before), now=_shown(after))


def _shown(file: Mapping[str, Any]) -> str:
    return f"{file.get('name')} ({file.get('bytes')} bytes, {file.get('mark')})"
