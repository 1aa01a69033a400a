"""A Ray cluster of several nodes on this machine, by Ray's own utility for that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from e5_onnx.errors import MissingExtraError

_PATIENCE_S: Final = 600


def require_ray() -> Any:  # noqa: ANN401 - Ray is optional, so its types are not known
    """Imports Ray's utility, and returns its class of clusters.

    Raises:
        MissingExtraError: If it is not installed.
    """
    # Before it is imported: nothing is to be sent anywhere.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray starts workers with a niceness of 15: beside other work they would wait for ever.
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        from ray.cluster_utils import Cluster
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    return Cluster


@contextmanager
def local_cluster(cpus: Sequence[int]) -> Iterator[Any]:
    """Starts a head that does no work, and nodes.

    Args:
        cpus: The number of CPUs of each node.

    Yields:
        `ray.cluster_utils.Cluster`.

    Raises:
        MissingExtraError: If Ray is not installed.
    """
    cluster = require_ray()(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for count in cpus:
            cluster.add_node(num_cpus=count, wait=False)
        cluster.wait_for_nodes(timeout=_PATIENCE_S)
        yield cluster
    finally:
        cluster.shutdown()
