"""`e5 serve`: a model folder behind HTTP."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e5_onnx.cli.arguments import add_command
from e5_onnx.errors import MissingExtraError
from e5_onnx.recipes import ROLES
from e5_onnx.tokens.overflow import POLICIES

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
        "--default-role",
        choices=ROLES,
        help="role of texts that come without one (default: they are refused)",
    )
    parser.add_argument(
        "--overflow",
        choices=POLICIES,
        default="truncate",
        help="what becomes of texts that are too long, unless a request says it (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, help="threads of the model (default: by CPU affinity and cgroup quota)"
    )
    parser.add_argument(
        "--mode",
        choices=("throughput", "latency"),
        default="throughput",
        help="a batch for each thread, or one for all, which is faster for one text and slower for many "
        "(default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="least level of records in the log (default: %(default)s)",
    )
    _add_address(parser.add_argument_group("address and keys"))
    _add_limits(parser.add_argument_group("limits"))
    # The supervisor's own, between its processes.
    parser.add_argument("--listen-fd", help=argparse.SUPPRESS)
    parser.add_argument("--supervisor-fd", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _add_address(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    group.add_argument(
        "--port",
        type=int,
        default=8080,
        help="port to listen on; 0 takes any that is free (default: %(default)s)",
    )
    group.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="keys of which clients send one, one a line (default: those of E5_ONNX_KEYS)",
    )
    group.add_argument("--insecure-no-key", action="store_true", help="serve other machines without a key")
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name in Host headers that is answered without a key; repeatable, '*' for any",
    )
    group.add_argument(
        "--metrics-address", metavar="HOST:PORT", help="serve /metrics here, without a key, and nothing else"
    )


@dataclass(frozen=True, slots=True)
class _Limit:
    flag: str
    kind: type[int] | type[float]
    default: float | None
    unit: str
    help: str


_LIMITS: Final = (
    _Limit("--max-body-mb", float, 8, "MB", "largest body of a request"),
    _Limit("--max-items", int, 4096, "N", "texts of a request"),
    _Limit("--max-tokens", int, 500_000, "N", "tokens of a request"),
    _Limit("--queue-tokens", int, 2_000_000, "N", "tokens that wait, of all requests"),
    _Limit("--max-memory-mb", float, None, "MB", "resident memory beyond which work is refused"),
    _Limit("--connections", int, 512, "N", "open connections"),
    _Limit("--header-timeout", float, 10, "SECONDS", "time for a request's headers"),
    _Limit("--body-timeout", float, 30, "SECONDS", "time for a request's body"),
    _Limit("--request-timeout", float, 120, "SECONDS", "time from a request's body to its answer"),
    _Limit("--send-timeout", float, 30, "SECONDS", "time for a client to read a part of its answer"),
    _Limit("--drain-delay", float, 0.5, "SECONDS", "time from the signal to stop to the last new connection"),
)


def _add_limits(group: argparse._ArgumentGroup) -> None:
    for row in _LIMITS:
        shown = "no limit" if row.default is None else "%(default)s"
        group.add_argument(
            row.flag,
            type=row.kind,
            default=row.default,
            metavar=row.unit,
            help=f"{row.help} (default: {shown})",
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
