"""The place of a bulk run's output: held by one process, begun once, gone on with by others like it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any, Final

from filelock import FileLock, Timeout

from e5_onnx.atomic_file import atomic_file, sync_folder
from e5_onnx.bulk.array_output import is_finished, write_array
from e5_onnx.bulk.errors import OutputBusyError, OutputExistsError, ResumeError, ShardLostError
from e5_onnx.bulk.journal import Journal, Receipt, read_journal, read_state, write_state
from e5_onnx.bulk.layout import Layout
from e5_onnx.bulk.survey import FileIdentity

_VERSION: Final = 1
_SETTINGS, _INPUT = "settings", "input"


@contextmanager
def open_output(layout: Layout) -> Iterator[Output]:
    """Takes the place of an output, so that no other process can until this one ends, however it ends.

    Raises:
        OutputExistsError: If something else is there.
        OutputBusyError: If another process has it.
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


def _refuse_strangers(layout: Layout) -> None:
    output = layout.output
    if layout.is_array:
        taken = output.is_dir()
    else:
        inside = output.iterdir() if output.is_dir() else ()
        taken = output.is_file() or any(path != layout.side for path in inside)
    if taken and read_state(layout.state) is None:
        raise OutputExistsError(output)


class Output:
    """What is there, and what is added.

    Attributes:
        receipts: Of the shards that are done, by index.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._state = read_state(layout.state)
        # Nobody else writes here now: what is half written was left by a process that is no more.
        for partial in layout.partial.iterdir():
            partial.unlink()
        self.receipts = {receipt.shard: receipt for receipt in read_journal(layout.journal)}
        if not is_finished(layout):
            self.receipts = {shard: done for shard, done in self.receipts.items() if self._is_there(done)}
        self._journal: Journal | None = None

    def check(self, settings: Mapping[str, Any]) -> None:
        """Compares settings with those that the output was begun with, if it was.

        Raises:
            ResumeError: Naming the first that differs.
        """
        if self._state is None:
            return
        begun = self._state[_SETTINGS]
        for name, value in settings.items():
            if begun.get(name) != value:
                raise ResumeError(self.layout.output, name, begun=begun.get(name), now=value)

    def begin(self, settings: Mapping[str, Any], files: Sequence[FileIdentity]) -> None:
        """Compares the input with the one that the output was begun with, or begins.

        Raises:
            ResumeError: Naming the first file that differs.
            OSError: If nothing can be written.
        """
        now = [asdict(file) for file in files]
        if self._state is None:
            self.receipts = {}
            write_state(self.layout.state, {"version": _VERSION, _SETTINGS: dict(settings), _INPUT: now})
        else:
            self._compare_input(self._state[_INPUT], now)
        self._journal = Journal(self.layout.journal, self.receipts.values())

    def commit(self, receipt: Receipt, node: str = "another process") -> None:
        """Counts a shard as done, for good.

        Raises:
            ShardLostError: If its part is not there.
            OSError: If that cannot be written down.
        """
        if not self._is_there(receipt):
            raise ShardLostError(self.layout.part(receipt.shard), node)
        assert self._journal is not None, "the run was not begun"  # noqa: S101 - for the type checker
        self._journal.add(receipt)
        self.receipts[receipt.shard] = receipt

    def finish(self) -> None:
        """Puts together what lies in shards: bad rows in order and, if that was asked for, the one array.

        Raises:
            OSError: If it cannot be written; then it may be tried again.
        """
        layout = self.layout
        if not is_finished(layout):
            with atomic_file(layout.rejects, workplace=layout.partial) as file:
                for shard in sorted(self.receipts):
                    if self.receipts[shard].rejected:
                        file.write(layout.rejects_of(shard).read_bytes())
            if layout.is_array:
                write_array(layout, [self.receipts[shard] for shard in sorted(self.receipts)])
                shutil.rmtree(layout.parts)
                layout.parts.mkdir()

    def close(self) -> None:
        """Closes the journal."""
        if self._journal is not None:
            self._journal.close()

    def _is_there(self, receipt: Receipt) -> bool:
        part = self.layout.part(receipt.shard)
        rejects = not receipt.rejected or self.layout.rejects_of(receipt.shard).is_file()
        return part.is_file() and part.stat().st_size == receipt.bytes and rejects

    def _compare_input(self, begun: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> None:
        if len(begun) != len(now):
            raise ResumeError(self.layout.output, "files", begun=len(begun), now=len(now))
        for number, (before, after) in enumerate(zip(begun, now, strict=True)):
            if before != after:
                what = f"input file {number}"
                raise ResumeError(self.layout.output, what, begun=_shown(before), now=_shown(after))


def _shown(file: Mapping[str, Any]) -> str:
    return f"{file['name']} ({file['bytes']:,} bytes, {file['mark']})"
