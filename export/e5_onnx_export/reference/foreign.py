"""One seam for torch, transformers, optimum and their like: hushed, and their errors translated."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from e5_onnx.errors import E5Error, MissingExtraError
from e5_onnx_export.errors import ToolError


@contextmanager
def foreign_tool(tool: str, *, extra: str) -> Iterator[None]:
    """Runs a block of another tool's code without its advice and progress bars.

    What these tools warn of is measured afterwards, and `e5-export --json` needs stdout for itself.

    Args:
        tool: Its name, for messages.
        extra: The extra that installs it.

    Raises:
        MissingExtraError: If a module is not installed.
        ToolError: Instead of whatever else the tool raises.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except (E5Error, OSError):
        raise
    except ModuleNotFoundError as error:
        raise MissingExtraError(extra, error.name or tool) from error
    # Of the tools' own making: torch alone raises a dozen kinds.
    except Exception as error:
        raise ToolError(tool, error, extra=extra) from error
    finally:
        logging.disable(disabled)
