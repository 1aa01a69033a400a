"""`e5 cache`: what is in the cache of packed weights, and away with it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from e5_onnx.cli.printing import print_text
from e5_onnx.errors import OptionError
from e5_onnx.machine.exit_codes import DONE, FAILED
from e5_onnx.prepacked.cache import Listed, PrepackedCache
from e5_onnx.prepacked.place import ENVIRONMENT, cache_root

_TEXT: Final = f"""\
Lists, verifies or clears the cache of weights that were prepacked for this machine.

The cache is off unless {ENVIRONMENT} or Embedder(cache_dir=...) names a folder. \
With a cache the heap of a
large model stays small, and several processes share one copy of the weights."""
_EXAMPLE: Final = "example:\n  e5 cache list\n  e5 cache clear --stale --cache-dir /var/cache/e5"
_MB: Final = 1_000_000


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "cache",
        help=_TEXT.split(".")[0],
        description=_TEXT,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="print one line per entry")
    listing.set_defaults(run=run_list)
    verifying = actions.add_parser("verify", help="hash every byte; exit code 1 if an entry is corrupt")
    verifying.set_defaults(run=run_verify)
    clearing = actions.add_parser("clear", help="remove the entries (default: all of them)")
    clearing.add_argument(
        "--stale",
        action="store_true",
        help="remove only unfinished entries and those of another CPU or onnxruntime (default: all)",
    )
    clearing.set_defaults(run=run_clear)
    for action in (listing, verifying, clearing):
        action.add_argument(
            "--cache-dir", type=Path, metavar="DIR", help=f"folder of the cache (default: ${ENVIRONMENT})"
        )


def run_list(parsed: argparse.Namespace) -> int:
    """Prints what is there."""
    for listed in _open(parsed.cache_dir).entries():
        print_text(f"{listed.folder.name}  {listed.bytes / _MB:.0f} MB  {_state(listed)}\n")
    return DONE


def run_verify(parsed: argparse.Namespace) -> int:
    """Hashes every entry. A damaged one is named and kept: `e5 cache clear` removes it."""
    code = DONE
    for listed in _open(parsed.cache_dir).entries():
        if listed.is_unfinished:
            print_text(f"{listed.folder.name}  unfinished\n")
        elif listed.entry is not None and listed.entry.is_whole(listed.folder):
            print_text(f"{listed.folder.name}  whole\n")
        elif listed.folder.exists():  # another process may have removed it
            print_text(f"{listed.folder.name}  damaged: run e5 cache clear\n")
            code = FAILED
    return code


def run_clear(parsed: argparse.Namespace) -> int:
    """Removes it and says how much it was."""
    cache = _open(parsed.cache_dir)
    doomed = [listed for listed in cache.entries() if not (parsed.stale and listed.usable)]
    for listed in doomed:
        cache.remove(listed.folder)
    size = sum(listed.bytes for listed in doomed) / _MB
    print_text(f"{len(doomed)} {'entry' if len(doomed) == 1 else 'entries'} removed, {size:.0f} MB\n")
    return DONE


def _open(chosen: Path | None) -> PrepackedCache:
    root = cache_root(chosen)
    if root is None:
        raise OptionError("cache_dir", None, f"given, or {ENVIRONMENT} set: the cache is off otherwise")
    return PrepackedCache(root)


def _state(listed: Listed) -> str:
    if listed.entry is None:
        return "unfinished"
    if not listed.usable:
        return f"stale  {listed.entry.model}  for onnxruntime {listed.entry.purpose.onnxruntime}"
    return f"usable  {listed.entry.model}  {listed.entry.precision}"
