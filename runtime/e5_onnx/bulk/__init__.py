"""Embeds any number of files into a data set of vectors, in a run that can be stopped and resumed.

Needs the extra `[bulk]`. `e5 bulk` is its command, `run_bulk` its function.

Raises:
    MissingExtraError: On import, if a package of the extra is not installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from e5_onnx.errors import MissingExtraError

_EXTRA: Final = "bulk"

for _module in ("filelock", "pyarrow"):
    try:
        import_module(_module)
    except ImportError as error:
        raise MissingExtraError(_EXTRA, _module) from error

from e5_onnx.bulk.errors import BulkError  # noqa: E402 - only what is there can be imported
from e5_onnx.bulk.progress import BulkProgress  # noqa: E402
from e5_onnx.bulk.run import Summary, run_bulk  # noqa: E402
from e5_onnx.bulk_job import Columns, Job  # noqa: E402

__all__ = ["BulkError", "BulkProgress", "Columns", "Job", "Summary", "run_bulk"]
