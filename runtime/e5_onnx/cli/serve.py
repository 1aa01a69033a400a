"""`e5 serve`: a model folder behind HTTP."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from e5_onnx.cli.arguments import add_command
from e5_onnx.errors import MissingExtraError
from e5_onnx.overflow import POLICIES
from e5_onnx.recipes import ROLES

_TEXT: Final = """\
Serves a model folder to clients of OpenAI and of text-embeddings-inference, and a page to try it at /.

It listens on this machine only, unless there is a key. docs/serve.md says what clients have to set."""
_EXAMPLE: Final = """\
  e5 serve my-e5
  e5 serve my-e5 --host 0.0.0.0 --key-file keys.txt --workers 2 --metrics-address 127.0.0.1:9100"""
_LIBRARIES: Final = ("msgspec", "prometheus_client", "starlette", "uvicorn")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "serve", text=_TEXT, example=_EXAMPLE)
    parser.add_argument("--name", help="what clients call the model (default: the folder's name)")
    parser.add_argument(
        "--default-role", choices=ROLES, help="of texts that name none; default: they are refused"
    )
    parser.add_argument(
        "--overflow", choices=POLICIES, default="truncate", help="texts too long: %(default)s"
    )
    parser.add_argument("--threads", type=int, help="default: by CPU affinity and cgroup quota")
    parser.add_argument(
        "--mode",
        choices=("throughput", "latency"),
        default="throughput",
        help="a batch for each thread, or one for all, which is faster for one text and slower for many",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes; default: %(default)s")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    _add_address(parser.add_argument_group("address and keys"))
    _add_limits(parser.add_argument_group("limits"))
    # The supervisor's own, between its processes.
    parser.add_argument("--listen-fd", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _add_address(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    group.add_argument("--port", type=int, default=8080, help="0 for any; default: %(default)s")
    group.add_argument(
        "--key-file", type=Path, metavar="FILE", help="keys, one a line; default: those of E5_ONNX_KEYS"
    )
    group.add_argument("--insecure-no-key", action="store_true", help="serve other machines without a key")
    group.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name in Host headers; repeatable"
    )
    group.add_argument("--metrics-address", metavar="HOST:PORT", help="/metrics alone, without a key")


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--max-body", type=float, default=8, metavar="MB", help="default: %(default)s")
    group.add_argument(
        "--max-items", type=int, default=4096, metavar="N", help="texts of a request: %(default)s"
    )
    group.add_argument(
        "--max-tokens", type=int, default=500_000, metavar="N", help="of a request: %(default)s"
    )
    group.add_argument(
        "--queue-tokens", type=int, default=2_000_000, metavar="N", help="that wait: %(default)s"
    )
    group.add_argument("--max-memory", type=float, metavar="MB", help="refuse work beyond; default: no limit")
    group.add_argument("--deadline", type=float, default=120, metavar="S", help="of a request: %(default)s")
    group.add_argument("--header", type=float, default=10, metavar="S", help="for headers: %(default)s")
    group.add_argument("--body", type=float, default=30, metavar="S", help="for a body: %(default)s")
    group.add_argument("--connections", type=int, default=512, metavar="N", help="at once: %(default)s")
    group.add_argument(
        "--drain", type=float, default=0.5, metavar="S", help="from not ready to closed: %(default)s"
    )


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    try:
        from e5_onnx.serve import command
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _LIBRARIES:
            raise
        raise MissingExtraError("serve", missing) from error
    return command.run(parsed, parsed.words)
