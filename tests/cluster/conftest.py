from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bulk_inputs import rows, write

from e5_onnx.bulk_job import Columns, Job
from e5_onnx_perf.bulk_runs.local_cluster import local_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A real cluster on this machine: a head that does no work, and two nodes of one CPU each."""
    with local_cluster([1, 1]) as started:
        yield started


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Six hundred rows, some of them bad."""
    records = [row | ({"text": None} if number % 36 == 7 else {}) for number, row in enumerate(rows(600))]
    return write("jsonl.gz", tmp_path, records)


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path, path: Path) -> Callable[..., Job]:
    """Makes a job of sixty shards; `output` and whatever else is given changes it."""

    def make(**changes: Any) -> Job:
        plain = Job(tiny_folder, (str(path),), tmp_path / "out", Columns(), role="document", shard_rows=10)
        return replace(plain, **changes)

    return make
