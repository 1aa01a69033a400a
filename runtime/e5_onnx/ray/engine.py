"""The engine of `e5 bulk --engine ray`: shards on the nodes of a cluster, receipts here.

Nodes write the shards themselves, to storage that they share. What one did not finish, another does again,
to the same bytes under the same name, so that nothing is lost or doubled, whoever dies.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any, Final

import ray

from e5_onnx.bulk.errors import NoNodeError, NotSharedError
from e5_onnx.bulk.journal import Receipt
from e5_onnx.bulk.plan import Shard, ShardPlan
from e5_onnx.bulk.work import Tell, Work, do_shards, open_bulk_model
from e5_onnx.embedder import Embedder
from e5_onnx.errors import FingerprintError
from e5_onnx.model_folder.folder import open_folder
from e5_onnx.ray.batches import actor_cpus
from e5_onnx.ray.failures import raise_own
from e5_onnx.ray.node_folder import node_folder

# A driver holds the list of what it has asked for; some hours of a large cluster.
_SHARDS_AT_ONCE: Final = 4096
# Beyond that Python, which one thread at a time runs, feeds no more.
_MOST_CPUS: Final = 8
_FIRST: Final = "first"
_ROWS: Final = "rows"


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Does a bulk run's shards on a cluster.

    Attributes:
        address: The address of the cluster; None for what `RAY_ADDRESS` names or, without it, for one on this
            machine.
        model: The path or URI of the model on the nodes; None for its path here.
        stop: When it is set, the engine ends after the shard that is done next.
    """

    address: str | None = None
    model: str | None = None
    stop: Event = field(default_factory=Event)

    def __call__(self, work: Work, shards: Iterable[Shard], tell: Tell) -> Iterator[Receipt]:
        """Yields receipts in the order in which shards are done.

        Raises:
            ClusterError: A leaf of it.
            E5Error: A leaf of it, as it was raised on a node.
            OSError: As it was raised on a node.
        """
        shards = iter(shards)
        with _cluster(self.address):
            cpus, actors = _pool(work.job.threads)
            place = self.model or str(work.job.model.resolve())
            worker = {"work": work, "model": place, "folder": str(Path.cwd())}
            while some := list(islice(shards, _SHARDS_AT_ONCE)):
                for receipt in _do(some, worker, cpus=cpus, actors=actors):
                    tell(receipt)
                    yield receipt
                    if self.stop.is_set():
                        return


class ShardWorker:
    """An actor that does shards, one after another, with as many threads as it has CPUs."""

    def __init__(self, work: Work, model: str, folder: str) -> None:
        """Notes what is to be opened.

        Args:
            work: The run.
            model: As for `node_folder`.
            folder: The folder that the run's paths are relative to: where it was started.
        """
        self._work, self._place, self._folder = work, model, Path(folder)
        self._plan = ShardPlan(work.survey.rows, work.job.shard_rows)
        self._model: Embedder | None = None

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Does the shards that a batch names.

        Yields:
            Their receipts.

        Raises:
            NotSharedError: If this node does not see the folder or the output.
            FingerprintError: If the model here is not the one that the run was planned with.
            E5Error: Another leaf of it.
            OSError: If something cannot be read or written.
        """
        # Here and not at the start: of an actor that cannot start, Ray tells nothing but that it died.
        model = self._model = self._model or self._open()
        rows = zip(batch[_FIRST], batch[_ROWS], strict=True)
        shards = [self._plan.shard(int(first), int(count)) for first, count in rows]
        for receipt in do_shards(self._work, model, shards, workers=actor_cpus()):
            yield {name: [getattr(receipt, name)] for name in Receipt.__slots__}

    def _open(self) -> Embedder:
        for needed in (self._folder, self._folder / self._work.layout.parts):
            if not needed.is_dir():
                raise NotSharedError(needed, ray.util.get_node_ip_address())
        os.chdir(self._folder)
        folder = open_folder(node_folder(self._place))
        # Not the Embedder's own check, which pins where a folder is from: it would hash all of it, and take
        # the large tokenizer.
        if folder.manifest.fingerprint != self._work.fingerprint:
            raise FingerprintError(self._work.fingerprint, folder.manifest.fingerprint)
        self._work = replace(self._work, job=replace(self._work.job, model=folder.path))
        return open_bulk_model(self._work.job)


def _do(shards: list[Shard], worker: dict[str, Any], *, cpus: int, actors: int) -> Iterator[Receipt]:
    rows = [{_FIRST: shard.first, _ROWS: shard.rows} for shard in shards]
    data = ray.data.from_items(rows, override_num_blocks=len(shards))
    done = data.map_batches(
        ShardWorker,
        fn_constructor_kwargs=worker,
        batch_size=1,
        num_cpus=cpus,
        # One task waiting at each actor: a shard is long enough that more would only be lost with it.
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=min(actors, len(shards)), max_tasks_in_flight_per_actor=2
        ),
    )
    with raise_own():
        for row in done.iter_rows():
            yield Receipt(**row)


def _pool(threads: int | None) -> tuple[int, int]:
    """CPUs of an actor, and how many actors there is room for."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    nodes = [cpus for cpus in nodes if cpus]
    cpus = threads or min([_MOST_CPUS, *nodes])
    actors = sum(node // cpus for node in nodes)
    if not actors:
        raise NoNodeError(cpus, max(nodes, default=0))
    return cpus, actors


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connects to a cluster, unless this process is connected already, and leaves it as it was."""
    if ray.is_initialized():
        yield
        return
    # Nobody asked to be counted: Ray reports its use unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address=address, log_to_driver=False, logging_level="WARNING")
    # The run has a progress line of its own, and the command an error of its own.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()
