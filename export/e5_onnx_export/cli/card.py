"""`e5-export card FOLDER RESULTS`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from e5_onnx_export.cards.accuracy import add_accuracy
from e5_onnx_export.cards.parts import CARD_NAME

NAME: Final = "card"

_DESCRIPTION: Final = """\
Writes measured accuracy into the README.md of a model folder.

To export a checkpoint in a folder that is called card, write ./card."""
_EXAMPLE: Final = """\
example:
  e5-perf accuracy e5-small e5-small-int8 --out accuracy
  e5-export card e5-small-int8 accuracy"""


def card_parser() -> argparse.ArgumentParser:
    """The subcommand's arguments."""
    made = argparse.ArgumentParser(
        prog=f"e5-export {NAME}",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("folder", metavar="FOLDER", type=Path, help="a model folder that was measured")
    made.add_argument("results", metavar="RESULTS", type=Path, help="the folder of `e5-perf accuracy --out`")
    made.set_defaults(run=_run)
    return made


def _run(parsed: argparse.Namespace) -> int:
    add_accuracy(parsed.folder, parsed.results)
    sys.stdout.write(f"{parsed.folder / CARD_NAME}\n")
    return 0
