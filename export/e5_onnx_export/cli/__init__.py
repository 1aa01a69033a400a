"""The command `e5-export`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Final

from e5_onnx.cli.flags import with_flags
from e5_onnx.errors import E5Error
from e5_onnx.machine.exit_codes import FAILED, INTERRUPTED, USAGE
from e5_onnx.messages import messages_may_be_lost
from e5_onnx_export.cli import card, export, pull, push
from e5_onnx_export.cli.flags import FLAGS
from e5_onnx_export.errors import ExportRequestError, RecipeError

__all__ = ["main"]

# Words that stand in the place of SOURCE; without one of them it is an export.
_COMMANDS: Final[Mapping[str, Callable[[], argparse.ArgumentParser]]] = {
    card.NAME: card.card_parser,
    pull.NAME: pull.pull_parser,
    push.NAME: push.push_parser,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Returns:
        0 done, 1 failed, 2 usage, 130 interrupted.
    """
    with messages_may_be_lost():
        return _run(sys.argv[1:] if arguments is None else list(arguments))


def _run(words: Sequence[str]) -> int:
    command = _COMMANDS.get(words[0]) if words else None
    parsed = command().parse_args(words[1:]) if command else export.export_parser().parse_args(words)
    # An ordinary kill then cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(parsed.run(parsed))
    except (RecipeError, ExportRequestError) as error:
        return _fail(with_flags(error, FLAGS), USAGE)
    except E5Error as error:
        return _fail(with_flags(error, FLAGS), FAILED)
    except OSError as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted, nothing was written", INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(reason: object, code: int) -> int:
    sys.stderr.write(f"e5-export: error: {reason}\n")
    return code
