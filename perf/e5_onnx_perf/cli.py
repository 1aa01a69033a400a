"""The command `e5-perf`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from e5_onnx.cli.flags import with_flags
from e5_onnx.errors import E5Error, OptionError
from e5_onnx_perf import memory_command, mteb_command
from e5_onnx_perf.accuracy import command as accuracy_command
from e5_onnx_perf.attention import command as attention_command
from e5_onnx_perf.bulk_runs import cluster_command, rate_command
from e5_onnx_perf.checkpoints import command as checkpoint_command
from e5_onnx_perf.cpu_exactness import command as exactness_command
from e5_onnx_perf.faults import command as faults_command
from e5_onnx_perf.scale import command as scale_command
from e5_onnx_perf.serve_load import command as serve_command
from e5_onnx_perf.speed import command as speed_command

_FAILED, _USAGE = 1, 2

_COMMANDS: Final = {
    "make-checkpoint": checkpoint_command,
    "accuracy": accuracy_command,
    "mteb": mteb_command,
    "speed": speed_command,
    "memory": memory_command,
    "server-load": serve_command,
    "bulk-throughput": rate_command,
    "faults": faults_command,
    "cluster-overhead": cluster_command,
    "capacity-plan": scale_command,
    "cpu-exactness": exactness_command,
    "attention-operators": attention_command,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0 done, 1 failed, 2 usage.
    """
    parsed = _parser().parse_args(arguments)
    flags = {name: f"--{name.replace('_', '-')}" for name in vars(parsed)}
    try:
        return int(_COMMANDS[parsed.command].run(parsed))
    except argparse.ArgumentTypeError as error:
        return _fail(error, _USAGE)
    except OptionError as error:
        return _fail(with_flags(error, flags), _USAGE)
    except E5Error as error:
        return _fail(with_flags(error, flags), _FAILED)
    except OSError as error:
        return _fail(error, _FAILED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="e5-perf", description="Measures model folders: accuracy, speed, memory."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        added = commands.add_parser(
            name,
            help=command.TEXT.split(".")[0].replace("%", "%%"),
            description=command.TEXT,
            epilog=f"example:\n{command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(added)
    return parser


def _fail(reason: object, code: int) -> int:
    sys.stderr.write(f"e5-perf: error: {reason}\n")
    return code
