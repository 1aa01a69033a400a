"""`e5-export push FOLDER REPO`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from e5_onnx.machine.exit_codes import DONE
from e5_onnx_export.cli.flags import FlagProgress

NAME: Final = "push"

_DESCRIPTION: Final = """\
Uploads a model folder to the Hugging Face hub, in one commit, with its card.

Log in first: `hf auth login`, or set HF_TOKEN. The folder is checked before anything is sent. The same
command continues an interrupted upload: large files that have arrived are not sent again.

To export a checkpoint in a folder that is called push, write ./push."""
_EXAMPLE: Final = """\
example:
  e5-export push e5-small-int8 my-org/multilingual-e5-small-int8"""


def push_parser() -> argparse.ArgumentParser:
    """The subcommand's arguments."""
    made = argparse.ArgumentParser(
        prog=f"e5-export {NAME}",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("folder", metavar="FOLDER", type=Path, help="model folder to upload")
    made.add_argument("repository", metavar="REPO", help="id on the hub, organisation/model")
    made.add_argument(
        "--private", action="store_true", help="make a new repository private (default: public)"
    )
    made.add_argument("--json", action="store_true", help="print the report as JSON (default: for people)")
    made.set_defaults(run=_run)
    return made


def _run(parsed: argparse.Namespace) -> int:
    # Here, because the hub's library takes long to import and other commands do not need it.
    from e5_onnx_export.hub.push import PushRequest, push

    report = push(PushRequest(parsed.folder, parsed.repository, private=parsed.private), FlagProgress())
    if parsed.json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
        return DONE
    sys.stdout.write(
        f"{report.repository}: {report.bytes / 1e6:.0f} MB, commit {report.revision}\n\n"
        f"e5-export pull {report.repository} {report.repository.rpartition('/')[2]} "
        f"--fingerprint {report.fingerprint}\n"
    )
    return DONE
