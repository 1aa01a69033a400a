"""Every error a bulk run raises on purpose; their root is the runtime's.

e5_onnx.E5Error
└── BulkError
    ├── RowError            (ValueError)       a row that is no text, under `stop`
    ├── InputFileError      (ValueError)       a file that cannot be read as what its name says
    ├── ResumeError         (ValueError)       the output was begun from other input or with other options
    ├── OutputExistsError   (FileExistsError)  the output's name is taken by something else
    ├── OutputBusyError     (RuntimeError)     another process writes there
    ├── ShardLostError      (RuntimeError)     a worker's file is not to be seen from here
    └── ClusterError                           something is wrong with a cluster, or with what its nodes see
        ├── ModelPlaceError (ValueError)         a URI that nothing can be fetched from
        ├── NoNodeError     (RuntimeError)       no node has the CPUs that were asked for
        └── NotSharedError  (FileNotFoundError)  a node does not see a folder that all must share
"""

from __future__ import annotations

from pathlib import Path

from e5_onnx.errors import E5Error


class BulkError(E5Error):
    """Something is wrong with a bulk run's input or output."""


class RowError(BulkError, ValueError):
    def __init__(self, source: str, row: int, reason: str, *, line: int | None = None) -> None:
        self.source, self.row, self.reason, self.line = source, row, reason, line
        place = f"row {row} (counted from 0)" if line is None else f"line {line}"
        super().__init__(
            f"{source}, {place}: {reason}; repair it and start again, or choose on_bad_row='reject'"
        )


class InputFileError(BulkError, ValueError):
    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = source, reason
        super().__init__(f"{source}: {reason}")


class ResumeError(BulkError, ValueError):
    def __init__(self, output: Path, what: str, *, begun: object, now: object) -> None:
        self.output, self.what, self.begun, self.now = output, what, begun, now
        super().__init__(
            f"{output} was started with {what} {begun}, and now it is {now}: resume it with what it was "
            "started with, or name another `output`"
        )


class OutputExistsError(BulkError, FileExistsError):
    def __init__(self, output: Path) -> None:
        self.output = output
        super().__init__(
            f"{output} exists, and it was not made by a bulk run: name another `output`, or remove it"
        )


class OutputBusyError(BulkError, RuntimeError):
    def __init__(self, output: Path) -> None:
        self.output = output
        super().__init__(f"another process is writing {output}: wait for it, or name another `output`")


class ShardLostError(BulkError, RuntimeError):
    def __init__(self, part: Path) -> None:
        self.part = part
        super().__init__(
            f"{part} was written by another process and cannot be seen here: `output` must lie on storage "
            "that all nodes share"
        )


class ClusterError(BulkError):
    """Something is wrong with the cluster, or with what its nodes can see."""


class ModelPlaceError(ClusterError, ValueError):
    def __init__(self, place: str, reason: str) -> None:
        self.place, self.reason = place, reason
        super().__init__(
            f"no model folder can be fetched from {place}: {reason}; give a path that every node sees, or a "
            "URI that pyarrow opens, like s3://bucket/my-e5"
        )


class NoNodeError(ClusterError, RuntimeError):
    def __init__(self, wanted: int, largest: int) -> None:
        self.wanted, self.largest = wanted, largest
        super().__init__(
            f"no node of the cluster has {wanted} CPUs, the largest has {largest}: ask for fewer `threads`"
        )


class NotSharedError(ClusterError, FileNotFoundError):
    def __init__(self, folder: Path, node: str) -> None:
        self.folder, self.node = folder, node
        super().__init__(
            f"node {node} does not see {folder}: input and output must lie on storage that all nodes mount "
            "under the same path"
        )
