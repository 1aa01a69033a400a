"""Files of any number of texts to a data set of vectors, in shards: a stopped run goes on where it was.

Needs the extra `[bulk]`. `e5 bulk` is its command, `e5_onnx.bulk.run.run_bulk` its function.

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
