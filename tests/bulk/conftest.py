from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e5_onnx import Embedder
from e5_onnx.bulk_job import Columns, Job


@pytest.fixture(scope="session")
def tiny_model(tiny_folder: Path) -> Embedder:
    """The committed model, open with one thread, as bulk runs have it."""
    return Embedder(tiny_folder, threads=1, overflow="truncate")


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Callable[..., Job]:
    """Makes a job of an input file; small shards, so that there are several."""

    def make(path: Path, **changes: Any) -> Job:
        plain = Job(tiny_folder, (str(path),), tmp_path / "out", Columns(), role="document", shard_rows=40)
        return replace(plain, **changes)

    return make
