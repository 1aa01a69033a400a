"""`e5-export pull REPO OUT`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from e5_onnx.machine.exit_codes import DONE
from e5_onnx_export.cli.first_use import first_use
from e5_onnx_export.cli.flags import FlagProgress

NAME: Final = "pull"

_DESCRIPTION: Final = """\
Downloads a model folder from the Hugging Face hub.

The same command resumes an interrupted download. Every file is compared with the hash in e5.json; OUT
appears when the folder is whole. A checkpoint is not downloaded in this way: `e5-export REPO` exports it.

To export a checkpoint in a folder that is called pull, write ./pull."""
_EXAMPLE: Final = """\
example:
  e5-export pull my-org/multilingual-e5-small-int8 e5-small-int8 --fingerprint 42702a742e6d..."""


def pull_parser() -> argparse.ArgumentParser:
    """The subcommand's arguments."""
    made = argparse.ArgumentParser(
        prog=f"e5-export {NAME}",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("repository", metavar="REPO", help="id on the hub, organisation/model")
    made.add_argument("out", metavar="OUT", type=Path, help="model folder to write")
    made.add_argument("--revision", help="branch, tag or commit (default: main)")
    made.add_argument("--fingerprint", help="fingerprint that the folder must have (default: any)")
    made.add_argument(
        "--force", action="store_true", help="replace a model folder at OUT (default: refuse to replace it)"
    )
    made.add_argument("--json", action="store_true", help="print the report as JSON (default: for people)")
    made.set_defaults(run=_run)
    return made


def _run(parsed: argparse.Namespace) -> int:
    # Here, because the hub's library takes long to import and other commands do not need it.
    from e5_onnx_export.hub.pull import PullRequest, pull

    request = PullRequest(
        parsed.repository, parsed.out, parsed.revision, parsed.fingerprint, force=parsed.force
    )
    report = pull(request, FlagProgress())
    if parsed.json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        return DONE
    sys.stdout.write(
        f"{report.folder}: {report.bytes / 1e6:.0f} MB, commit {report.revision}, fingerprint "
        f"{report.fingerprint}\n"
    )
    sys.stdout.write(first_use(parsed.out))
    return DONE
