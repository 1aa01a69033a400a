"""`e5-perf capacity-plan`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Final

from e5_onnx.errors import OptionError
from e5_onnx_export.cards.parts import table
from e5_onnx_perf.scale.arithmetic import Need, Setting, need

TEXT: Final = """\
Computes the resources for a corpus: core-hours, money, memory, storage, network, and the driver's own time.

The input is measured: the throughput of a core, the efficiency of a cluster, the time to schedule a shard."""

EXAMPLE: Final = "  e5-perf capacity-plan --tokens-per-core-second 400 --dimension 1024 --process-mb 700"

# The corpora of perf/SCALE.md, and the cores that each is given there.
_CORPORA: Final = ((10**7, 64), (10**9, 1024), (10**11, 65_536))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add(
        "--tokens-per-core-second",
        type=float,
        required=True,
        metavar="N",
        help="measured throughput of a core",
    )
    add(
        "--tokens-per-text",
        type=float,
        default=128,
        metavar="N",
        help="mean length of a text (default: %(default)s)",
    )
    add(
        "--bytes-per-text",
        type=float,
        default=200,
        metavar="N",
        help="stored size of a text (default: %(default)s)",
    )
    add("--dimension", type=int, default=1024, help="dimension of a vector (default: %(default)s)")
    add(
        "--process-mb",
        type=float,
        default=700,
        metavar="MB",
        help="memory of a worker (default: %(default)s)",
    )
    add(
        "--cores-per-process",
        type=int,
        default=8,
        metavar="N",
        help="cores of a worker (default: %(default)s)",
    )
    add("--price", type=float, default=0.04, help="price of a core for an hour (default: %(default)s)")
    add(
        "--efficiency",
        type=float,
        default=1.0,
        help="share of the measured rate on a cluster (default: %(default)s)",
    )
    add(
        "--shard-seconds",
        type=float,
        default=0.01,
        metavar="S",
        help="time to schedule a shard (default: %(default)s)",
    )
    add("--json", action="store_true", help="print JSON (default: a table)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    values = {name: getattr(parsed, name) for name in Setting.__slots__ if hasattr(parsed, name)}
    for name, value in values.items():
        if value <= 0:
            raise OptionError(name, value, "more than 0")
    setting = Setting(**values)
    needs = [need(texts, cores, setting) for texts, cores in _CORPORA]
    found = json.dumps([asdict(each) for each in needs]) if parsed.json else need_table(needs)
    sys.stdout.write(f"{found}\n")
    return 0


def need_table(needs: list[Need]) -> str:
    """The resources for each corpus, a column each."""
    rows = {
        "documents": [f"{each.texts:,}" for each in needs],
        "core-hours": [_short(each.core_hours) for each in needs],
        "cost at the stated price": [_short(each.cost) for each in needs],
        "cores at once": [f"{each.cores:,}" for each in needs],
        "time with them": [_time(each.days) for each in needs],
        "memory of all workers": [_bytes(each.memory_gb) for each in needs],
        "input": [_bytes(each.input_gb) for each in needs],
        "output, float32": [_bytes(each.output_gb["float32"]) for each in needs],
        "output, float16": [_bytes(each.output_gb["float16"]) for each in needs],
        "output, int8": [_bytes(each.output_gb["int8"]) for each in needs],
        "network, float32": [f"{_short(each.megabits)} Mbit/s" for each in needs],
        "shards": [f"{each.shards:,}" for each in needs],
        "journal": [_bytes(each.journal_mb / 1000) for each in needs],
        "scheduling, one driver": [_time(each.scheduling_hours / 24) for each in needs],
    }
    head, *body = ((name, *cells) for name, cells in rows.items())
    return table(head, body)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are enough


def _bytes(gigabytes: float) -> str:
    for unit, size in (("PB", 1e6), ("TB", 1e3), ("GB", 1.0), ("MB", 1e-3)):
        if gigabytes >= size:
            return f"{gigabytes / size:.3g} {unit}"
    return f"{gigabytes * 1e6:.3g} kB"


def _time(days: float) -> str:
    for unit, size in (("days", 1.0), ("hours", 1 / 24), ("minutes", 1 / 1440)):
        if days >= size:
            return f"{days / size:.3g} {unit}"
    return f"{days * 86400:.3g} seconds"
