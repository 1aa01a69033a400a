"""Every error the perf package raises on purpose; its root is the runtime's.

e5_onnx.E5Error
└── PerfError
    ├── ConversionError                (ValueError)    a checkpoint cannot be converted for another engine
    ├── DataError                      (ValueError)    a data set is missing, damaged or malformed
    ├── DownloadError                  (OSError)       a data set cannot be downloaded
    ├── MismatchError                  (ValueError)    models cannot be compared with each other
    ├── TaskRunError                   (RuntimeError)  a task of mteb failed
    ├── ToolMissingError               (OSError)       a program this measurement needs is not installed
    └── WorkerError                    (RuntimeError)  a measuring process failed
"""

from __future__ import annotations

from e5_onnx.errors import E5Error


class PerfError(E5Error):
    """Something is wrong with a measurement."""


class ConversionError(PerfError, ValueError):
    def __init__(self, source: str, reason: str) -> None:
        self.source, self.reason = source, reason
        super().__init__(f"{source} cannot be converted: {reason}")


class DataError(PerfError, ValueError):
    def __init__(self, file: str, reason: str, *, line: int | None = None) -> None:
        self.file, self.line, self.reason = file, line, reason
        where = file if line is None else f"{file}, line {line}"
        super().__init__(f"{where}: {reason}")


class DownloadError(PerfError, OSError):
    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"cannot download {url}: {reason}. Where there is no network, copy the data there and name its "
            "folder as `data`"
        )

    __str__ = Exception.__str__


class MismatchError(PerfError, ValueError):
    def __init__(self, what: str, first: tuple[str, object], second: tuple[str, object]) -> None:
        self.what, self.first, self.second = what, first, second
        super().__init__(
            f"{first[0]} and {second[0]} cannot be compared: their {what} is {first[1]} and {second[1]}"
        )


class TaskRunError(PerfError, RuntimeError):
    def __init__(self, task: str, reason: BaseException) -> None:
        self.task, self.reason = task, reason
        first = (str(reason).splitlines() or [""])[0]
        super().__init__(
            f"mteb's task {task} failed with {type(reason).__name__}: {first}. Where there is no network, "
            "its data must be in the cache of Hugging Face's datasets"
        )


class ToolMissingError(PerfError, OSError):
    def __init__(self, tool: str, package: str) -> None:
        self.tool, self.package = tool, package
        super().__init__(f"{tool} is not installed: it is in Debian's package {package}")

    # OSError's own __str__ would print only errno fields, which are not set here.
    __str__ = Exception.__str__


class WorkerError(PerfError, RuntimeError):
    def __init__(self, engine: str, reason: str) -> None:
        self.engine, self.reason = engine, reason
        super().__init__(f"{engine}: {reason}")
