"""A bulk run on a real Ray cluster is the run of one machine, whoever dies meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runtime_folders import edit
from waiting import until

from e5_onnx.bulk.errors import RowError
from e5_onnx.bulk.layout import OutputLayout
from e5_onnx.bulk.run import BulkEngine, run_bulk
from e5_onnx.bulk_job import Job
from e5_onnx.cli import main
from e5_onnx.errors import FingerprintError
from e5_onnx_perf.bulk_runs.local_cluster import local_cluster

pytestmark = [
    pytest.mark.reference,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray's, of its own settings
]


def on(cluster: Any, model: Path | None = None) -> BulkEngine:
    """The engine of a cluster."""
    from e5_onnx.ray.engine import RayEngine

    return RayEngine(cluster.address, None if model is None else str(model))


def files_of(output: Path) -> dict[str, bytes]:
    """All that a run leaves for its user, byte for byte."""
    found = {part.name: part.read_bytes() for part in sorted(output.glob("part-*.parquet"))}
    return found | {"rejects": OutputLayout(output).rejects.read_bytes()}


@pytest.fixture
def truth(job: Callable[..., Job], tmp_path: Path) -> dict[str, bytes]:
    """The files of one machine."""
    alone = job(output=tmp_path / "alone")
    run_bulk(alone)
    return files_of(alone.output)


def test_the_command_does_what_it_does_without_a_cluster(
    cluster: Any, job: Callable[..., Job], truth: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = job()
    words = ["bulk", str(asked.model), *asked.inputs, "--role", "document", "--shard-rows", "10"]
    words += ["--output", str(asked.output), "--engine", "ray", "--address", cluster.address]
    assert main(words) == 0
    assert files_of(asked.output) == truth
    assert "600 rows, 583 vectors, 17 rejected" in capsys.readouterr().err
    assert main(words) == 0
    assert "600 rows (600 done before)" in capsys.readouterr().err


# Does twenty shards, and the others when the gate is there; a class of __main__ is sent to the nodes whole.
GATED = """
import time
from pathlib import Path
from e5_onnx.ray import engine

class GatedWorker(engine.ShardWorker):
    def __call__(self, batch):
        while batch["first"][0] >= 200 and not Path(gate).exists():
            time.sleep(0.01)
        yield from super().__call__(batch)
"""


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the workers of a run wait for."""
    from e5_onnx.ray import engine

    module: dict[str, Any] = {"__name__": "__main__", "gate": str(tmp_path / "gate")}
    exec(GATED, module)  # noqa: S102
    monkeypatch.setattr(engine, "ShardWorker", module["GatedWorker"])
    return tmp_path / "gate"


@contextmanager
def once_begun(output: Path, strike: Callable[[], object], gate: Path) -> Iterator[None]:
    """Strikes when the first shards are there and the workers are at others, or wait."""

    def wait() -> None:
        until(lambda: len(list(output.glob("part-*.parquet"))) >= 3)
        strike()
        done = len(list(output.glob("part-*.parquet")))
        gate.touch()
        assert done <= 20, "the gate holds nobody"

    watcher = threading.Thread(target=wait, daemon=True)
    watcher.start()
    yield
    watcher.join()


def kill_a_worker() -> None:
    """SIGKILL for one process that does shards."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        if process.read_bytes().startswith(b"ray::MapWorker"):
            os.kill(int(process.parent.name), signal.SIGKILL)
            return
    pytest.fail("no worker was found")


def test_a_worker_is_killed(
    cluster: Any, job: Callable[..., Job], truth: dict[str, bytes], gate: Path
) -> None:
    asked = job()
    with once_begun(asked.output, kill_a_worker, gate):
        done = run_bulk(asked, engine=on(cluster))
    assert (done.rows, done.written, done.rejected) == (600, 583, 17)
    assert files_of(asked.output) == truth


def test_a_node_is_killed(job: Callable[..., Job], truth: dict[str, bytes], gate: Path) -> None:
    asked = job()
    with local_cluster([1, 1]) as cluster:
        lost = next(iter(cluster.worker_nodes))
        with once_begun(asked.output, lambda: cluster.remove_node(lost, allow_graceful=False), gate):
            done = run_bulk(asked, engine=on(cluster))
    assert (done.rows, done.written, done.rejected) == (600, 583, 17)
    assert files_of(asked.output) == truth


DRIVER = """
import sys
from e5_onnx.cli import main
gate, *words = sys.argv[1:]
engine.ShardWorker = GatedWorker
sys.exit(main(words))
"""


def test_the_driver_is_killed(
    cluster: Any, job: Callable[..., Job], truth: dict[str, bytes], tmp_path: Path
) -> None:
    asked = job()
    words = ["bulk", str(asked.model), *asked.inputs, "--role", "document", "--shard-rows", "10"]
    words += ["--output", str(asked.output), "--engine", "ray", "--address", cluster.address]
    gate = tmp_path / "gate"
    driver = subprocess.Popen(
        [sys.executable, "-c", GATED + DRIVER, str(gate), *words], stderr=subprocess.DEVNULL
    )
    with once_begun(asked.output, driver.kill, gate):
        assert driver.wait() == -signal.SIGKILL
    done = run_bulk(asked, engine=on(cluster))
    assert done.rows == 600
    assert files_of(asked.output) == truth


def test_what_is_wrong_with_a_row_is_said_as_by_one_machine(
    cluster: Any, job: Callable[..., Job], path: Path
) -> None:
    with pytest.raises(RowError) as caught:
        run_bulk(job(on_bad_row="stop"), engine=on(cluster))
    assert caught.value.source == str(path)
    assert caught.value.row % 36 == 7


def test_another_model_on_the_nodes_is_refused(
    cluster: Any, job: Callable[..., Job], tiny_folder_copy: Path
) -> None:
    edit(tiny_folder_copy, lambda manifest: manifest["recipe"].update(default_task="another"))
    with pytest.raises(FingerprintError):
        run_bulk(job(), engine=on(cluster, tiny_folder_copy))


def test_more_cpus_than_any_node_has(cluster: Any, job: Callable[..., Job]) -> None:
    from e5_onnx.bulk.errors import NoNodeError

    with pytest.raises(NoNodeError) as caught:
        run_bulk(replace(job(), threads=3), engine=on(cluster))
    assert str(caught.value) == (
        "no node of the cluster has 3 CPUs, the largest has 1: ask for fewer `threads`"
    )
