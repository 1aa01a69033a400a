"""`e5 verify`: is the folder whole, and does this machine compute its vectors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from e5_onnx.cli.arguments import THREADS_HELP, add_command
from e5_onnx.cli.printing import print_text
from e5_onnx.machine.exit_codes import DONE
from e5_onnx.prepacked.place import ENVIRONMENT
from e5_onnx.verify import verify_folder

_TEXT: Final = """\
Hashes every byte of a model folder, then embeds its golden texts on this machine.

It also hashes the folder's prepacked weights in the cache, if there are any.

The exit code is 0 for a correct folder, else 1 with the reason on stderr."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = add_command(commands, "verify", text=_TEXT, example="  e5 verify my-e5")
    parser.add_argument("--threads", type=int, help=THREADS_HELP)
    parser.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help=f"folder of the cache (default: ${ENVIRONMENT})"
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    report = verify_folder(parsed.model, threads=parsed.threads, cache_dir=parsed.cache_dir)
    packed = f" and {report.cached} in the cache" if report.cached else ""
    print_text(
        f"{parsed.model}: {report.files} files{packed} whole; {report.golden_texts} golden texts within "
        f"{report.max_abs:.1e} (allowed {report.tolerance:.1e})\n"
    )
    return DONE
