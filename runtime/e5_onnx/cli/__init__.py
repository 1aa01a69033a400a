"""The command `e5`."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final

from e5_onnx import __version__
from e5_onnx.cli import bulk, cache, embed, info, search, serve, verify
from e5_onnx.cli.flags import with_flags
from e5_onnx.errors import E5Error, OptionError, RoleError, TaskError
from e5_onnx.machine.exit_codes import FAILED, INTERRUPTED, USAGE
from e5_onnx.messages import messages_may_be_lost

__all__ = ["main"]

_COMMANDS: Final = (embed, bulk, search, serve, info, verify, cache)
_USAGE_ERRORS: Final = (RoleError, TaskError, OptionError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: Without the program's name; None for the command line's.

    Returns:
        0 done, 1 failed, 2 usage, 130 interrupted.
    """
    with messages_may_be_lost():
        return _run(sys.argv[1:] if arguments is None else list(arguments))


def _run(words: Sequence[str]) -> int:
    parsed = parse(words)
    parsed.words = words  # for commands that start this program again
    signal.signal(signal.SIGTERM, _interrupt)  # so that an ordinary kill cleans up as Ctrl-C does
    try:
        return int(parsed.run(parsed))
    except _USAGE_ERRORS as error:
        return _fail(with_flags(error), USAGE)
    except BrokenPipeError:
        # The reader of stdout went away, as `head` does: it has what it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except E5Error as error:
        return _fail(with_flags(error), FAILED)
    except OSError as error:
        return _fail(error, FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parses a command line, or exits with code 2 and a message.

    An option that another command takes is refused with that command's name.
    """
    parser = _parser()
    parsed, unknown = parser.parse_known_args(words)
    if unknown:
        flag = unknown[0].partition("=")[0]
        takers = " and ".join(_commands_with(flag))
        parser.error(f"{flag} is an option of {takers}" if takers else f"unknown: {' '.join(unknown)}")
    return parsed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="e5", description="Embeds texts with a model folder that e5-export made, on the CPU."
    )
    parser.add_argument("--version", action="version", version=f"e5-onnx {__version__}")
    _add_commands(parser)
    return parser


def _add_commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return commands.choices


def _commands_with(flag: str) -> list[str]:
    commands = _add_commands(argparse.ArgumentParser())
    flags = {
        name: re.findall(r"--[a-z][a-z-]*", command.format_usage()) for name, command in commands.items()
    }
    return [f"`e5 {name}`" for name, taken in flags.items() if flag in taken]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(reason: object, code: int) -> int:
    sys.stderr.write(f"e5: error: {reason}\n")
    return code
