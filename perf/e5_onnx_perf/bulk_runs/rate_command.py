"""`e5-perf bulk-throughput`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.accuracy_results import write_values
from e5_onnx_perf.bulk_runs.command_line import (
    BulkFigures,
    add_shared_arguments,
    open_corpus,
    require_at_least,
)
from e5_onnx_perf.bulk_runs.corpus import read_texts
from e5_onnx_perf.bulk_runs.embed_process import EmbedCommand, Moment, watch
from e5_onnx_perf.bulk_runs.graph_rate import GraphAlone

TEXT: Final = """\
Compares `e5 bulk` on many short texts with the throughput of the graph alone, and watches its memory.

The command runs in its own process, from a Parquet file to a Parquet data set; its start counts. Before and
after it, as many worker threads run the graph alone on the token ids of the same texts. Memory is compared
before and after the first 5% of the shards."""

EXAMPLE: Final = "  e5-perf bulk-throughput e5-small-int8 --data DIR --out bulk"

_ROWS, _SHARD_ROWS, _GRAPH_ROWS, _ROUNDS = 200_000, 2000, 20_000, 3
_SETTLING: Final = 0.05
_RESULTS: Final = "bulk.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_shared_arguments(parser, rows=_ROWS, results=_RESULTS)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="rounds of each (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    require_at_least(parsed, {"rows": _SHARD_ROWS, "rounds": 1})
    with open_corpus(parsed) as corpus:
        values = _measure(parsed.folder, corpus, rows=parsed.rows, rounds=parsed.rounds)
    if parsed.out is not None:
        write_values(values, parsed.out / _RESULTS)
    sys.stdout.write(_told(values))
    return 0


def _measure(folder: Path, corpus: Path, *, rows: int, rounds: int) -> BulkFigures:
    graph = GraphAlone(folder, read_texts(corpus, _GRAPH_ROWS))
    shards = -(-rows // _SHARD_ROWS)
    graphs, seconds, tokens = [graph.tokens_per_second()], [], 0
    watched: list[list[Moment]] = []
    for number in TerminalProgress().track(range(rounds), label="rounds", total=rounds):
        command = EmbedCommand(folder, corpus, corpus.parent / f"out-{number}", _SHARD_ROWS)
        moments, took = watch(command)
        watched.append(moments)
        seconds.append(took)
        tokens = command.tokens
        graphs.append(graph.tokens_per_second())
    graph.close()
    bulks = [tokens / took for took in seconds]
    # Each run beside the mean of what the graph did just before and just after it.
    ratios = [
        2 * bulk / (before + after) for bulk, before, after in zip(bulks, graphs, graphs[1:], strict=False)
    ]
    return {
        "rows": rows,
        "tokens": tokens,
        "seconds": [round(took, 2) for took in seconds],
        "tokens_per_s": round(median(bulks)),
        "rows_per_s": round(median(rows / took for took in seconds), 1),
        "graph_tokens_per_s": round(median(graphs)),
        "ratio_to_graph": round(median(ratios), 4),
        "memory": _memory(max(watched, key=lambda moments: _peaks(moments, shards)[1]), shards),
    }


def _peaks(moments: Sequence[Moment], shards: int) -> tuple[float, float]:
    settled = [moment.shards > _SETTLING * shards for moment in moments]
    early = [moment.held.anonymous_mb for moment, late in zip(moments, settled, strict=True) if not late]
    late = [moment.held.anonymous_mb for moment, late in zip(moments, settled, strict=True) if late]
    return max(early, default=0.0), max(late, default=0.0)


def _memory(moments: Sequence[Moment], shards: int) -> BulkFigures:
    first, rest = _peaks(moments, shards)
    return {
        "heap_peak_first_5_percent_mb": round(first, 1),
        "heap_peak_after_mb": round(rest, 1),
        "growth": round(rest / first, 4) if first else None,
        "resident_peak_mb": round(max((moment.held.peak_mb for moment in moments), default=0.0), 1),
    }


def _told(values: BulkFigures) -> str:
    held = values["memory"]
    return (
        f"{values['rows']:,} rows, {values['tokens']:,} tokens: {values['rows_per_s']:,.0f} rows/s, "
        f"{values['tokens_per_s']:,} tokens/s, {values['ratio_to_graph']:.3f} of the graph alone "
        f"({values['graph_tokens_per_s']:,})\n"
        f"heap: {held['heap_peak_first_5_percent_mb']:.0f} MB at most in the first 5%, "
        f"{held['heap_peak_after_mb']:.0f} MB after; resident {held['resident_peak_mb']:.0f} MB at most\n"
    )
