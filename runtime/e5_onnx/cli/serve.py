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
    parser.add_argument("--name", help="the model's name for clients (default: the folder's name)")
    parser.add_argument(
        "--default-role",
        choices=ROLES,
        help="role of texts that come without one (default: they are refused)",
    )
    parser.add_argument(
        "--overflow",
        choices=POLICIES,
        default="truncate",
        help="truncation policy of requests that name none (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="number of threads that run the model (default: as many as CPU affinity and cgroup quota allow)",
    )
    parser.add_argument(
        "--mode",
        choices=("throughput", "latency"),
        default="throughput",
        help="throughput: a batch for each thread; latency: one batch for all threads, faster for single "
        "texts and slower for many (default: %(default)s)",
    )
    parser.add_argument(
        "--low-memory",
        action="store_true",
        help="keep weights in the mapped file: a third of the private memory, and slower (default: off)",
    )
    parser.add_argument(
        "--cache-queries",
        type=int,
        default=0,
        metavar="N",
        help="number of recent queries whose vectors each worker keeps (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="number of worker processes (default: %(default)s)"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="lowest level of messages in the log (default: %(default)s)",
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
        help="port to listen on; 0 chooses a free one (default: %(default)s)",
    )
    group.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help="file of accepted keys, one per line (default: the keys in E5_ONNX_KEYS)",
    )
    group.add_argument(
        "--insecure-no-key",
        action="store_true",
        help="serve other machines without a key (default: refuse to start without one)",
    )
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="Host header accepted without a key; repeatable, '*' for any (default: this machine's names)",
    )
    group.add_argument(
        "--metrics-address",
        metavar="HOST:PORT",
        help="separate address for /metrics alone, without a key (default: none)",
    )


@dataclass(frozen=True, slots=True)
class _Limit:
    flag: str
    kind: type[int] | type[float]
    default: float | None
    unit: str
    help: str


_LIMITS: Final = (
    _Limit("--max-body-mb", float, 8, "MB", "largest request body, in MB"),
    _Limit("--max-items", int, 4096, "N", "largest number of texts in a request"),
    _Limit("--max-tokens", int, 500_000, "N", "largest number of tokens in a request"),
    _Limit(
        "--queue-tokens", int, 2_000_000, "N", "largest number of tokens in the queue, all requests together"
    ),
    _Limit(
        "--queue-mb", float, 256, "MB", "request bodies and unsent responses, in MB, all requests together"
    ),
    _Limit("--max-memory-mb", float, None, "MB", "resident memory, in MB, above which requests are refused"),
    _Limit("--connections", int, 512, "N", "largest number of open connections"),
    _Limit("--header-timeout", float, 10, "SECONDS", "seconds to receive the headers of a request"),
    _Limit("--body-timeout", float, 30, "SECONDS", "seconds to receive the body of a request"),
    _Limit("--request-timeout", float, 120, "SECONDS", "seconds from the body of a request to its response"),
    _Limit("--send-timeout", float, 30, "SECONDS", "seconds for a client to read a part of its response"),
    _Limit(
        "--drain-delay",
        float,
        0.5,
        "SECONDS",
        "seconds after the signal to stop in which new connections are accepted",
    ),
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
