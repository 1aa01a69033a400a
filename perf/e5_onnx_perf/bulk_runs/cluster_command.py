"""`e5-perf cluster-overhead`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from e5_onnx.bulk.run import embed_here, run_bulk
from e5_onnx.bulk_job import Columns, Job
from e5_onnx_export.cards.parts import table
from e5_onnx_export.progress import TerminalProgress
from e5_onnx_perf.accuracy.accuracy_results import write_values
from e5_onnx_perf.bulk_runs.command_line import (
    BulkFigures,
    add_shared_arguments,
    open_corpus,
    require_at_least,
)
from e5_onnx_perf.bulk_runs.corpus import write_corpus
from e5_onnx_perf.bulk_runs.local_cluster import local_cluster, require_ray
from e5_onnx_perf.bulk_runs.timed_engine import TimedEngine

TEXT: Final = """\
Compares a bulk run on a local Ray cluster with the same run without one, on the same CPUs.

The runs take turns. Throughput is given with and without the start of workers. The cost of scheduling is
measured separately, on shards of one row, which have almost nothing to compute."""

EXAMPLE: Final = "  e5-perf cluster-overhead e5-small-int8 --data DIR --out cluster"

_ROWS, _SHARD_ROWS, _ROUNDS, _TINY_SHARDS = 40_000, 1000, 3, 200
_RESULTS: Final = "cluster.json"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to run.

    Attributes:
        name: For the table.
        nodes: CPUs of each node of a cluster; none for this process.
        threads: The number of threads of each worker.
    """

    name: str
    nodes: tuple[int, ...]
    threads: int

    @property
    def lanes(self) -> int:
        """Shards that are worked on at once: a process works on one, with all its threads."""
        return len(self.nodes) or 1


WAYS: Final = (
    Way("one process, 1 CPU", (), 1),
    Way("one process, 2 CPUs", (), 2),
    Way("Ray, a node of 1 CPU", (1,), 1),
    Way("Ray, a node of 2 CPUs", (2,), 2),
    Way("Ray, two nodes of 1 CPU", (1, 1), 1),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_shared_arguments(parser, rows=_ROWS, results=_RESULTS)
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="rounds of each (default: %(default)s)")


def run(parsed: argparse.Namespace) -> int:
    """Runs the command."""
    require_at_least(parsed, {"rows": 4 * _SHARD_ROWS, "rounds": 1})
    require_ray()
    with open_corpus(parsed) as corpus:
        tiny = corpus.with_name("tiny.parquet")
        write_corpus(tiny, _TINY_SHARDS, model=parsed.folder, data=parsed.data)
        values = _measure(parsed.folder, corpus, tiny, rounds=parsed.rounds)
    values["rows"] = parsed.rows
    if parsed.out is not None:
        write_values(values, parsed.out / _RESULTS)
    sys.stdout.write(_table(values))
    return 0


def _measure(folder: Path, corpus: Path, tiny: Path, *, rounds: int) -> BulkFigures:
    runs: dict[Way, list[TimedEngine]] = {way: [] for way in WAYS}
    shards: dict[Way, list[float]] = {way: [] for way in WAYS}
    for number in TerminalProgress().track(range(rounds), label="rounds", total=rounds):
        for way in WAYS:
            place = corpus.parent / f"out-{number}-{WAYS.index(way)}"
            job = Job(folder, (str(corpus),), place, Columns(id_column="doc"), role="document",
                      shard_rows=_SHARD_ROWS, threads=way.threads)  # fmt: skip
            small = replace(job, inputs=(str(tiny),), output=Path(f"{place}-tiny"), shard_rows=1)
            with _address(way.nodes) as address:
                runs[way].append(_run(job, way, address))
                shards[way].append(_run(small, way, address).seconds_a_shard)
    return {"ways": [_row(way, runs[way], shards=shards[way], beside=runs[WAYS[1]]) for way in WAYS]}


def _run(job: Job, way: Way, address: str | None) -> TimedEngine:
    engine = TimedEngine(embed_here, way.lanes)
    if address is not None:
        from e5_onnx.ray.engine import RayEngine

        engine = TimedEngine(RayEngine(address), way.lanes)
    run_bulk(job, engine=engine)
    return engine


def _row(
    way: Way, runs: Sequence[TimedEngine], *, shards: Sequence[float], beside: Sequence[TimedEngine]
) -> BulkFigures:
    return {
        **asdict(way),
        "tokens_per_s": round(median(run.whole_rate for run in runs)),
        "steady_tokens_per_s": round(median(run.steady_rate for run in runs)),
        "start_s": round(median(run.start_seconds for run in runs), 2),
        "ms_a_shard_of_one_row": round(1000 * median(shards), 2),
        # Round by round, as neighbours in time.
        "steady_ratio_to_one_process": round(
            median(run.steady_rate / other.steady_rate for run, other in zip(runs, beside, strict=True)), 3
        ),
    }


@contextmanager
def _address(cpus: Sequence[int]) -> Iterator[str | None]:
    """The address of a cluster of such nodes; None for no nodes."""
    if not cpus:
        yield None
        return
    with local_cluster(cpus) as cluster:
        yield cluster.address


def _table(values: BulkFigures) -> str:
    columns = {
        "way": ("name", "{}"),
        "tokens/s, start included": ("tokens_per_s", "{:,}"),
        "tokens/s, steady": ("steady_tokens_per_s", "{:,}"),
        "of one process, 2 CPUs": ("steady_ratio_to_one_process", "{:.2f}"),
        "first shard after, s": ("start_s", "{:.1f}"),
        "a shard of one row, ms": ("ms_a_shard_of_one_row", "{:.1f}"),
    }
    cells = [tuple(form.format(row[key]) for key, form in columns.values()) for row in values["ways"]]
    return table(tuple(columns), cells) + "\n"
